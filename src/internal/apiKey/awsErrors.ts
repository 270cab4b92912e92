/** Errors of the AWS SDK, and their descriptions for the user. */
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import { parseArn } from "./arn.js"

/** Parts of an error of the SDK that a description may use. */
export class AwsError extends /*#__PURE__*/ Data.TaggedError("AwsError")<{
  /** Name of the error at AWS, such as `AccessDeniedException`. */
  readonly kind: string
  readonly text: string
  /** Code of a network error, such as `ECONNREFUSED`. */
  readonly code: string | undefined
  readonly status: number | undefined
}> {}

/** The call that failed. */
export interface FailedCall {
  /** Name of the AWS service. */
  readonly service: string
  /** Permission that the role needs. */
  readonly action: string
  /** Noun for the object that the call reads. */
  readonly resource: string
  /** Identifier of that object. A description shows an ARN only: other text may be a key in the wrong variable. */
  readonly id: string
  readonly fips: boolean
}

export const isAccessDenied = ({ kind }: AwsError): boolean => kind.startsWith("AccessDenied")

export const isInvalidCiphertext = ({ kind }: AwsError): boolean => kind === "InvalidCiphertextException"

export const routeAdvice = "A function in a VPC needs a NAT gateway, or an interface endpoint of that service"

/**
 * Describes an error in words of our own. The message of AWS appears for a missing permission only: its message for an invalid signature
 * contains the session token.
 */
export const describe = (call: FailedCall, error: AwsError): string => {
  const { code, kind, status, text } = error
  if (isAccessDenied(error)) return describeAccessDenied(call, text)
  switch (kind) {
    case "ResourceNotFoundException":
    case "ParameterNotFound":
    case "ParameterVersionNotFound":
      return `the ${call.resource} does not exist in this account and region`
    case "NotFoundException":
      return "the KMS key does not exist in this account and region"
    case "InvalidCiphertextException":
    case "IncorrectKeyException":
      return "KMS cannot decrypt the ciphertext. Encrypt the key in this region, without an encryption context or with " +
        "LambdaFunctionName and the name of this function, and encode it in base64"
    case "InvalidRequestException":
      return `Secrets Manager cannot read the ${call.resource} (${kind}). It may be scheduled for deletion`
    case "CredentialsProviderError":
      return "the AWS SDK found no credentials"
    case "EndpointError":
      return `the AWS SDK found no endpoint: ${shorten(text)}`
  }
  if (/^Region /.test(text)) return `${shorten(text)}. Set AWS_REGION, or use an ARN`
  if (code !== undefined) {
    return `the connection to ${call.service} failed (${code}). ` +
      (call.fips ? "DD_LAMBDA_FIPS_MODE requires a FIPS endpoint, which not every region has" : routeAdvice)
  }
  return status !== undefined && status < 300
    ? `the response of ${call.service} is not readable (${kind})`
    : `${call.service} refused the request (${kind}${status === undefined ? "" : `, status ${status}`})`
}

const describeAccessDenied = ({ action, id, resource }: FailedCall, text: string): string => {
  const target = action === "kms:Decrypt"
    ? "for the KMS key that encrypted it"
    : `for this ${resource}, and kms:Decrypt if a KMS key of your own encrypts it`
  const message = shorten(parseArn(id) === undefined ? text.replaceAll(id, "<hidden>") : text)
  return `access denied. The role needs ${action} ${target}${message === "" ? "" : ` (AWS: ${message})`}`
}

export const fromUnknown = (error: unknown): AwsError => {
  const wordIn = (property: string) => {
    const value: unknown = Predicate.hasProperty(error, property) ? error[property] : undefined
    return typeof value === "string" && /^\w{1,60}$/.test(value) ? value : undefined
  }
  const metadata: unknown = Predicate.hasProperty(error, "$metadata") ? error.$metadata : undefined
  const status: unknown = Predicate.hasProperty(metadata, "httpStatusCode") ? metadata.httpStatusCode : undefined
  return new AwsError({
    kind: wordIn("name") ?? "Error",
    text: messageOf(error),
    code: wordIn("code"),
    status: typeof status === "number" ? status : undefined
  })
}

export const messageOf = (error: unknown): string =>
  Predicate.hasProperty(error, "message") && typeof error.message === "string" ? error.message : ""

/** Returns one line of at most 300 characters. */
export const shorten = (text: string): string => {
  const line = text.replace(/\s+/g, " ").trim()
  return line.length > 300 ? `${line.slice(0, 299)}…` : line
}
