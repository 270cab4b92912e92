import * as Data from "effect/Data"

/** Failure of the command. Its message is printed as one line. */
export class CommandError extends Data.TaggedError("CommandError")<{ readonly message: string }> {}
