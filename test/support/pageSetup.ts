/** Makes the page before the tests, as it is not in the repository. */
export const setup = () => import("../../src/page/build.js")
