/** Apart from the module of reporters, which leads to what evaluates with these. */
import type { Receipt } from "../../Reporter.js"

export const emptyReceipt: Receipt = { items: 0, payloads: 0, bytes: 0, retries: 0 }

export const addReceipts = (self: Receipt, that: Receipt): Receipt => ({
  items: self.items + that.items,
  payloads: self.payloads + that.payloads,
  bytes: self.bytes + that.bytes,
  retries: self.retries + that.retries
})
