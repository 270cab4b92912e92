/** A program with an extension and nothing else to do; `LambdaExtension.test.ts` bundles it. */
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

// In one go: it has registered before anything else in the process can happen.
console.log(Effect.runSync(Effect.gen(function*() {
  const scope = yield* Scope.make()
  return yield* LambdaExtension.make().pipe(
    Scope.extend(scope),
    Effect.match({
      onFailure: (error) => error._tag === "LambdaExtensionError" ? error.reason : error._op,
      onSuccess: () => "registered"
    })
  )
})))
