/** A yes or a no as environments have it; undefined for anything else. */
export const fromText = (text: string): boolean | undefined => {
  switch (text.toLowerCase()) {
    case "true":
    case "yes":
    case "on":
    case "1":
      return true
    case "false":
    case "no":
    case "off":
    case "0":
      return false
    default:
      return undefined
  }
}
