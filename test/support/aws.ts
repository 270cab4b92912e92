/**
 * Stands for Secrets Manager, SSM and KMS, for the clients of the AWS SDK, on a loopback port.
 */
import { Effect } from "effect"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"

export interface Request {
  /** Such as `secretsmanager.GetSecretValue`. */
  readonly target: string
  readonly body: Readonly<Record<string, unknown>>
  /** The service and the region that it was signed for. */
  readonly service: string
  readonly region: string
  /** The connection was closed before there was an answer. */
  abandoned: boolean
}

export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** What a ciphertext stands for, and what it is tied to. */
export interface Encrypted {
  readonly text: string
  readonly context?: Readonly<Record<string, string>>
}

export interface Aws {
  readonly url: string
  readonly requests: Array<Request>
  /** By ARN or name: text, or bytes. */
  readonly secrets: Map<string, string | Uint8Array>
  readonly parameters: Map<string, string>
  /** By the ciphertext, in base64. */
  readonly ciphertexts: Map<string, Encrypted>
  /** What is said instead of that, where it gives something; `"nothing"` leaves the request without an answer. */
  answer: (request: Request) => Answer | "nothing" | undefined
  /** How many connections are open. */
  readonly connections: Effect.Effect<number>
  /** What the SDK needs in its environment to come here. */
  readonly variables: Readonly<Record<string, string>>
}

export const refusal = (type: string, message: string, status = 400): Answer => ({
  status,
  body: { __type: type, message }
})

const judge = (self: Aws, { body, target }: Request): Answer => {
  const ok = (answer: unknown): Answer => ({ status: 200, body: answer })
  switch (target) {
    case "secretsmanager.GetSecretValue": {
      const found = self.secrets.get(String(body.SecretId))
      if (found === undefined) {
        return refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
      }
      return ok(
        typeof found === "string"
          ? { SecretString: found }
          : { SecretBinary: Buffer.from(found).toString("base64") }
      )
    }
    case "AmazonSSM.GetParameter": {
      const found = self.parameters.get(String(body.Name))
      if (found === undefined) return refusal("ParameterNotFound", "")
      return ok({ Parameter: { Value: body.WithDecryption === true ? found : "still-encrypted" } })
    }
    case "TrentService.Decrypt": {
      const found = self.ciphertexts.get(String(body.CiphertextBlob))
      return found !== undefined && JSON.stringify(found.context) === JSON.stringify(body.EncryptionContext)
        ? ok({ Plaintext: Buffer.from(found.text).toString("base64") })
        : refusal("InvalidCiphertextException", "")
    }
    default:
      return refusal("UnknownOperationException", "")
  }
}

const textOf = async (message: IncomingMessage): Promise<string> => {
  let text = ""
  for await (const chunk of message) text += String(chunk)
  return text
}

export const serve = Effect.acquireRelease(
  Effect.async<{ readonly aws: Aws; readonly close: Effect.Effect<void> }>((resume) => {
    const server = createServer((incoming, outgoing) => {
      const [, region, service] =
        /^AWS4-HMAC-SHA256 Credential=\w+\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=\S+, Signature=[\da-f]{64}$/
          .exec(incoming.headers.authorization ?? "") ?? []
      void textOf(incoming).then((text) => {
        const request: Request = {
          target: String(incoming.headers["x-amz-target"]),
          body: JSON.parse(text),
          service: service ?? "",
          region: region ?? "",
          abandoned: false
        }
        aws.requests.push(request)
        const answer = region === undefined
          ? refusal("IncompleteSignatureException", "")
          : aws.answer(request) ?? judge(aws, request)
        outgoing.on("close", () => (request.abandoned = !outgoing.writableFinished))
        if (answer === "nothing") return
        outgoing.writeHead(answer.status, { "content-type": "application/x-amz-json-1.1" })
        outgoing.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body))
      })
    })
    // connections are for the client to close
    server.keepAliveTimeout = 0
    let aws: Aws
    server.listen(0, "127.0.0.1", () => {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      aws = {
        url,
        requests: [],
        secrets: new Map(),
        parameters: new Map(),
        ciphertexts: new Map(),
        answer: () => undefined,
        connections: Effect.async((resume) => {
          server.getConnections((_, count) => resume(Effect.succeed(count)))
        }),
        variables: {
          AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
          AWS_SECRET_ACCESS_KEY: "a-secret-access-key",
          AWS_SESSION_TOKEN: "a-session-token",
          AWS_REGION: "eu-west-1",
          AWS_ENDPOINT_URL_SECRETS_MANAGER: url,
          AWS_ENDPOINT_URL_SSM: url,
          AWS_ENDPOINT_URL_KMS: url,
          AWS_EC2_METADATA_DISABLED: "true",
          AWS_CONFIG_FILE: "/dev/null",
          AWS_SHARED_CREDENTIALS_FILE: "/dev/null"
        }
      }
      resume(Effect.succeed({
        aws,
        close: Effect.async((closed) => {
          server.close(() => closed(Effect.void))
          server.closeAllConnections()
        })
      }))
    })
  }),
  ({ close }) => close
).pipe(Effect.map(({ aws }) => aws))

/** The process's own environment, until the scope closes. */
export const withVariables = (variables: Readonly<Record<string, string | undefined>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
      set(Object.entries(variables))
      return before
    }),
    (before) => Effect.sync(() => set(before))
  )

const set = (variables: ReadonlyArray<readonly [string, string | undefined]>) => {
  for (const [name, value] of variables) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}
