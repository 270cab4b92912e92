/** Makes the page of the local intake before the tests. */
export const setup = async (): Promise<void> => {
  await import("../../src/page/build.js")
}
