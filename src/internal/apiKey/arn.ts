/** Returns service and region of an ARN, or undefined for other text. */
export const parseArn = (text: string): { readonly service: string; readonly region: string } | undefined => {
  const [, service, region] = /^arn:aws[\w-]*:([\w-]+):([\w-]+):\d*:\S+$/.exec(text) ?? []
  return service === undefined || region === undefined ? undefined : { service, region }
}
