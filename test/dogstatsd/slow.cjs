// A receiver of Unix datagrams that reads nothing before it has a first chunk on standard input. After that it expects a number of
// bytes on standard input, and prints it when the receiver has read this many: slow.cjs <path>
const { readSync } = require("node:fs")

let read = 0
let expected = Infinity
const report = () => {
  if (read >= expected) console.log(`read ${read}`)
}
const socket = require("unix-dgram").createSocket("unix_dgram", (packet) => {
  read += packet.byteLength
  report()
})
socket.bind(process.argv[2])
process.stdout.write("bound\n", () => {
  readSync(0, Buffer.alloc(100))
  process.stdin.on("data", (bytes) => {
    expected = Number(bytes)
    report()
  })
})
