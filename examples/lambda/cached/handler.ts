/**
 * Orders, as a zip with V8's code cache. `cache.mjs` makes the cache, `index.mjs` loads it.
 *
 *     npx esbuild handler.ts --bundle --minify --platform=node --format=cjs --target=node22 --outfile=dist/function.cjs
 *     cp index.mjs dist && node cache.mjs
 *     cd dist && zip ../function.zip index.mjs function.cjs function.cache
 *
 * Run the second command with the Node.js version of the function: V8 ignores the cache of another version.
 *
 * The function's handler is `index.handler`, its variables are `DD_API_KEY` and `DD_SITE`.
 */
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

export const handler = Lambda.makeHandler({
  handler: (event: { readonly orderId: string; readonly total: number }) =>
    ThreadStats.distribution("orders.value", event.total).pipe(Effect.as({ accepted: event.orderId })),
  layer: ThreadStats.layer
})
