/** Returns the key of a page. */
export const pageKey = (slot: number): string => `threadstats-page-${slot}`
