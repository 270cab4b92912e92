/**
 * What the client adds to each series on its way to a reporter.
 *
 * @since 0.1.0
 * @category models
 */
export interface Enrichment {
  /** Namespace of the client with a dot behind it, or the empty string. */
  readonly prefix: string
  /** Constant tags of the client. They come first. */
  readonly tags: ReadonlyArray<string>
  /** Host of the client. It replaces the empty string as a series' host. */
  readonly hostname: string | undefined
  /** True if the client's host is also attached to series without a host. */
  readonly attachHost: boolean
  /** Device of the client. It is a part of every series. */
  readonly device: string | undefined
  /** Roll-up interval, in seconds. */
  readonly interval: number
}

/** Makes the enrichment of a client's settings, with its roll-up interval in seconds. */
export const make = (
  config: Omit<Enrichment, "prefix" | "interval"> & { readonly namespace: string },
  interval: number
): Enrichment => ({
  prefix: config.namespace === "" ? "" : `${config.namespace}.`,
  tags: config.tags,
  hostname: config.hostname,
  attachHost: config.attachHost,
  device: config.device,
  interval
})

/** Prefix of Datadog's own metrics, which get no namespace. */
const datadogPrefix = "aws.lambda.enhanced."

export const enrichName = ({ prefix }: Enrichment, name: string): string =>
  prefix === "" || name.startsWith(datadogPrefix) ? name : `${prefix}${name}`

export const enrichHost = ({ attachHost, hostname: ownHost }: Enrichment, host: string | null): string | null =>
  host === "" || (host === null && attachHost) ? ownHost || host : host
