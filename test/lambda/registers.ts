/**
 * A program that registers an extension and has nothing else to do; `LambdaExtension.io.test.ts` bundles it. It prints the
 * outcome, and the time limit of the registration in milliseconds. With the argument `unlimited` it waits for an answer however
 * long that takes, so that the outcome does not depend on the speed of the machine.
 */
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

const isUnlimited = process.argv[2] === "unlimited"
const wait = Atomics.wait as (array: Int32Array, index: number, value: number, timeout?: number) => string
let limit: number | undefined
Object.assign(Atomics, {
  wait: (array: Int32Array, index: number, value: number, timeout?: number) => {
    limit = timeout
    return wait(array, index, value, isUnlimited ? undefined : timeout)
  }
})

// Nothing else in the process can happen before the registration has ended.
const outcome = Effect.runSync(Effect.gen(function*() {
  const scope = yield* Scope.make()
  return yield* LambdaExtension.make().pipe(
    Scope.extend(scope),
    Effect.match({
      onFailure: (error) => error._tag === "LambdaExtensionError" ? error.reason : error._op,
      onSuccess: () => "registered"
    })
  )
}))
console.log(`${outcome} ${limit}`)
