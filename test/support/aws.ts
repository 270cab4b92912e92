/**
 * Secrets Manager, SSM and KMS for tests. `serve` answers the clients of the AWS SDK on a loopback port; `fakeSdk` answers in
 * process and stands in for the packages of the SDK, which take seconds to load. Both answer from the same maps.
 */
import { Effect, type Scope } from "effect"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, vi } from "vitest"

export interface Request {
  /** Service and action, such as `secretsmanager.GetSecretValue`. */
  readonly target: string
  readonly body: Readonly<Record<string, unknown>>
  /** Service and region of the signature. */
  readonly service: string
  readonly region: string
  /** True if the client gave up before an answer. */
  abandoned: boolean
}

export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** The plaintext of a ciphertext, and the encryption context that decryption requires. */
export interface Encrypted {
  readonly text: string
  readonly context?: Readonly<Record<string, string>>
}

export interface Aws {
  readonly url: string
  readonly requests: Array<Request>
  /** Texts or bytes by ARN or name. */
  readonly secrets: Map<string, string | Uint8Array>
  readonly parameters: Map<string, string>
  /** Plaintexts by ciphertext in base64. */
  readonly ciphertexts: Map<string, Encrypted>
  /** Overrides the answer of a request unless it returns `undefined`. `"nothing"` leaves the request unanswered. */
  answer: (request: Request) => Answer | "nothing" | undefined
  /** Number of open connections, or of open clients of the fake SDK. */
  readonly connections: () => number
  /** Waits until the condition holds. Every request, abandoned request and closed connection checks it. */
  readonly when: (holds: () => boolean) => Effect.Effect<void>
  /** Environment variables that direct the SDK to this server. */
  readonly variables: Readonly<Record<string, string>>
}

const makeModel = (url: string, connections: () => number): { readonly aws: Aws; readonly notify: () => void } => {
  const checks = new Set<() => void>()
  return {
    aws: {
      url,
      requests: [],
      secrets: new Map(),
      parameters: new Map(),
      ciphertexts: new Map(),
      answer: () => undefined,
      connections,
      when: (holds) =>
        Effect.async((resume) => {
          const check = () => {
            if (!holds()) return
            checks.delete(check)
            resume(Effect.void)
          }
          checks.add(check)
          check()
          return Effect.sync(() => checks.delete(check))
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
    },
    notify: () => {
      for (const check of checks) check()
    }
  }
}

export const refusal = (type: string, message: string, status = 400): Answer => ({
  status,
  body: { __type: type, message }
})

const answerFromMaps = (self: Aws, { body, target }: Request): Answer => {
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

export const serve: Effect.Effect<Aws, never, Scope.Scope> = Effect.acquireRelease(
  Effect.async<{ readonly aws: Aws; readonly close: Effect.Effect<void> }>((resume) => {
    let model: ReturnType<typeof makeModel>
    let connections = 0
    const server = createServer((incoming, outgoing) => {
      const { aws, notify } = model
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
          : aws.answer(request) ?? answerFromMaps(aws, request)
        outgoing.on("close", () => {
          request.abandoned = !outgoing.writableFinished
          notify()
        })
        notify()
        if (answer === "nothing") return
        outgoing.writeHead(answer.status, { "content-type": "application/x-amz-json-1.1" })
        outgoing.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body))
      }, () => {
        // The client closed the connection within its request.
      })
    })
    server.on("connection", (socket) => {
      connections++
      socket.on("close", () => {
        connections--
        model.notify()
      })
    })
    // Tests assert that the client closes its connections.
    server.keepAliveTimeout = 0
    server.listen(0, "127.0.0.1", () => {
      model = makeModel(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, () => connections)
      resume(Effect.succeed({
        aws: model.aws,
        close: Effect.async((closed) => {
          server.close(() => closed(Effect.void))
          server.closeAllConnections()
        })
      }))
    })
  }),
  ({ close }) => close
).pipe(Effect.map(({ aws }) => aws))

/** The options with which a client of the SDK is created. */
export interface ClientOptions {
  readonly region?: string
  readonly endpoint?: string
  readonly useFipsEndpoint?: true
  readonly maxAttempts?: number
}

export interface FakeAws extends Aws {
  /** The options of every client, in the order of their creation. */
  readonly clients: ReadonlyArray<ClientOptions>
}

/** The error that the SDK rejects with when a service refuses a request, or when it cannot parse the answer. */
const errorOf = ({ body, status }: Answer): Error => {
  const { __type: name = "Error", message = "" } = body as { readonly __type?: string; readonly message?: string }
  const error = typeof body === "string" ? new SyntaxError(`Unexpected token in ${body}`) : new Error(message)
  return Object.assign(error, {
    $metadata: { httpStatusCode: status },
    ...(typeof body === "string" ? undefined : { name })
  })
}

const decoded = (output: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> => {
  const bytes = (value: unknown) => typeof value === "string" ? new Uint8Array(Buffer.from(value, "base64")) : value
  return { ...output, SecretBinary: bytes(output.SecretBinary), Plaintext: bytes(output.Plaintext) }
}

/**
 * Replaces the packages of the SDK by fakes while the tests of the calling file run. Returns an effect that creates an empty
 * model and directs the fakes to it. The fakes neither sign requests nor retry, and always find a region and credentials.
 */
export const fakeSdk = (): Effect.Effect<FakeAws> => {
  let model: ReturnType<typeof makeModel>
  let clients: Array<ClientOptions>
  let open: number

  class Command {
    readonly input: Readonly<Record<string, unknown>>
    constructor(input: Readonly<Record<string, unknown>>) {
      this.input = input
    }
  }

  const clientOf = (service: string, target: string) =>
    class {
      readonly region: string
      constructor(options: ClientOptions) {
        this.region = options.region ?? "eu-west-1"
        clients.push(options)
        open++
      }
      destroy() {
        open--
        model.notify()
      }
      send({ input }: Command, { abortSignal }: { readonly abortSignal: AbortSignal }): Promise<unknown> {
        const { aws, notify } = model
        const body = Object.fromEntries(
          Object.entries(input).map(([name, value]) =>
            [name, value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value] as const
          )
        )
        const request: Request = { target, body, service, region: this.region, abandoned: false }
        aws.requests.push(request)
        const answer = aws.answer(request) ?? answerFromMaps(aws, request)
        notify()
        if (answer === "nothing") {
          return new Promise((_, reject) => {
            abortSignal.addEventListener("abort", () => {
              request.abandoned = true
              notify()
              reject(Object.assign(new Error("Request aborted"), { name: "AbortError" }))
            })
          })
        }
        return answer.status === 200 && typeof answer.body !== "string"
          ? Promise.resolve(decoded(answer.body as Readonly<Record<string, unknown>>))
          : Promise.reject(errorOf(answer))
      }
    }

  const packages = {
    "@aws-sdk/client-secrets-manager": {
      SecretsManagerClient: clientOf("secretsmanager", "secretsmanager.GetSecretValue"),
      GetSecretValueCommand: Command
    },
    "@aws-sdk/client-ssm": { SSMClient: clientOf("ssm", "AmazonSSM.GetParameter"), GetParameterCommand: Command },
    "@aws-sdk/client-kms": { KMSClient: clientOf("kms", "TrentService.Decrypt"), DecryptCommand: Command }
  }
  beforeAll(() => {
    for (const [name, exports] of Object.entries(packages)) vi.doMock(name, () => exports)
  })
  // The files of a worker share its modules.
  afterAll(() => {
    for (const name of Object.keys(packages)) vi.doUnmock(name)
  })

  return Effect.sync(() => {
    clients = []
    open = 0
    model = makeModel("http://aws.test", () => open)
    return Object.assign(model.aws, { clients })
  })
}

/** Sets variables of this process until the scope closes. */
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
