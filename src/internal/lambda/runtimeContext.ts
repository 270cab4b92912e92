/** The context of an invocation, from the environment's variables and the headers of the invocation. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { logFrom } from "../runtime/log.js"
import type { LambdaContext } from "./LambdaContext.js"
import type { PendingInvocation } from "./pendingInvocation.js"

/** The context of an invocation. */
export interface RuntimeContext extends LambdaContext {
  /** Log group of the function. */
  readonly logGroupName: string
  /** Log stream of the execution environment. */
  readonly logStreamName: string
  /** The moment at which Lambda ends the invocation, in milliseconds since the epoch. */
  readonly deadline: number
  /**
   * The X-Ray trace header. If invocations run one at a time, `process.env._X_AMZN_TRACE_ID` has it too, where tracing libraries
   * read it.
   */
  readonly traceId: string | undefined
  /** The client context of a mobile app, parsed. Undefined, with a warning, if it is malformed. */
  readonly clientContext: unknown
  /** The Cognito identity of a mobile app, parsed. Undefined, with a warning, if it is malformed. */
  readonly identity: unknown
  /** The tenant of a function with tenant isolation. */
  readonly tenantId: string | undefined
}

/** The part of the context that all invocations share. */
export type FunctionMetadata = Pick<
  RuntimeContext,
  "functionName" | "functionVersion" | "memoryLimitInMB" | "logGroupName" | "logStreamName"
>

const textOrEmpty = (variable: string) => Config.withDefault(Config.string(variable), "")

export const functionMetadata: Config.Config<FunctionMetadata> = /*#__PURE__*/ Config.all({
  functionName: textOrEmpty("AWS_LAMBDA_FUNCTION_NAME"),
  functionVersion: textOrEmpty("AWS_LAMBDA_FUNCTION_VERSION"),
  memoryLimitInMB: textOrEmpty("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
  logGroupName: textOrEmpty("AWS_LAMBDA_LOG_GROUP_NAME"),
  logStreamName: textOrEmpty("AWS_LAMBDA_LOG_STREAM_NAME")
})

const log = /*#__PURE__*/ logFrom("LambdaRuntime")

/** Parses a header that holds JSON. Node.js decodes headers as Latin-1. */
const parseHeader = (invocation: PendingInvocation, name: string): Effect.Effect<unknown> =>
  Option.match(Option.fromNullable(invocation.headers[name]), {
    onNone: () => Effect.succeed(undefined),
    onSome: (value) =>
      Effect.try((): unknown => JSON.parse(Buffer.from(value, "latin1").toString("utf8"))).pipe(
        Effect.catchAll(() =>
          Effect.as(
            log(Effect.logWarning(`Invocation ${invocation.id} has a header ${name} that is not JSON`)),
            undefined
          )
        )
      )
  })

export const makeContext = (
  metadata: FunctionMetadata,
  invocation: PendingInvocation
): Effect.Effect<RuntimeContext> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const { deadline, headers, id } = invocation
    return {
      ...metadata,
      awsRequestId: id,
      invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"] ?? "",
      deadline,
      getRemainingTimeInMillis: () => deadline - clock.unsafeCurrentTimeMillis(),
      traceId: headers["lambda-runtime-trace-id"],
      clientContext: yield* parseHeader(invocation, "lambda-runtime-client-context"),
      identity: yield* parseHeader(invocation, "lambda-runtime-cognito-identity"),
      tenantId: headers["lambda-runtime-aws-tenant-id"]
    }
  })

/** Sets the variable that tracing libraries read. */
export const exposeTraceId = (traceId: string | undefined): Effect.Effect<void> =>
  Effect.sync(() => {
    if (traceId === undefined) delete process.env["_X_AMZN_TRACE_ID"]
    else process.env["_X_AMZN_TRACE_ID"] = traceId
  })
