import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"

/** An intake on a free loopback port. */
export const layerIntake = (options?: LocalIntake.Options): Layer.Layer<LocalIntake.LocalIntake> =>
  LocalIntake.layer(options).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
    Layer.orDie
  )
