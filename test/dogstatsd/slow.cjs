// A receiver of Unix datagrams that does not read before it is told to: slow.cjs <path>
const { readSync } = require("node:fs")

let read = 0
const socket = require("unix-dgram").createSocket("unix_dgram", (packet) => {
  read += packet.byteLength
})
socket.bind(process.argv[2])
process.stdout.write("bound\n", () => {
  readSync(0, Buffer.alloc(100))
  process.stdin.on("data", (expected) => {
    const look = () => {
      if (read >= Number(expected)) console.log(`read ${read}`)
      else setTimeout(look, 5)
    }
    look()
  })
})
