import { generateKeyPairSync, sign } from "node:crypto"

export interface Certificate {
  readonly cert: string
  readonly key: string
}

/**
 * Creates a self-signed certificate for an IPv4 address, by default 127.0.0.1, which no client trusts by default. Node.js issues no certificates; this is the
 * smallest form of RFC 5280 that a TLS client accepts.
 */
export const selfSigned = (address: ReadonlyArray<number> = [127, 0, 0, 1]): Certificate => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const name = sequence(set(sequence(objectId("550403"), der(0x0c, Buffer.from("test intake")))))
  const loopback = der(0x87, Buffer.from(address))
  const signed = sequence(
    der(0xa0, integer(2)),
    integer(1),
    sequence(ecdsaWithSha256),
    name,
    sequence(time("20200101000000Z"), time("21200101000000Z")),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(sequence(objectId("551d11"), der(0x04, sequence(loopback)))))
  )
  const signature = sign("sha256", signed, privateKey)
  const certificate = sequence(signed, sequence(ecdsaWithSha256), der(0x03, Buffer.from([0]), signature))
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString()
  }
}

/** Encodes a value in DER: tag, length, content. */
const der = (tag: number, ...content: ReadonlyArray<Buffer>): Buffer => {
  const body = Buffer.concat(content)
  const length = body.length < 0x80
    ? [body.length]
    : body.length < 0x100
    ? [0x81, body.length]
    : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

const sequence = (...content: ReadonlyArray<Buffer>) => der(0x30, ...content)
const set = (...content: ReadonlyArray<Buffer>) => der(0x31, ...content)
const integer = (value: number) => der(0x02, Buffer.from([value]))
const time = (value: string) => der(0x18, Buffer.from(value))
const objectId = (hex: string) => der(0x06, Buffer.from(hex, "hex"))
const ecdsaWithSha256 = objectId("2a8648ce3d040302")
