/**
 * Orders, as a zip that starts faster: with what V8 compiled of the function when it was built. `index.mjs` loads it, `cache.mjs`
 * makes it.
 *
 *     npx esbuild handler.ts --bundle --minify --platform=node --format=cjs --target=node22 --outfile=dist/function.cjs
 *     cp index.mjs dist && node cache.mjs
 *     cd dist && zip ../function.zip index.mjs function.cjs function.cache
 *
 * The last but one by the Node.js that will run the function: what another version compiled is left alone, and everything is
 * compiled again.
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
