/** Names the machine `localhost`, so that no test depends on the machine. A local name is not sent. Vitest loads this for every file. */
import os from "node:os"

os.hostname = () => "localhost"
