// What the page of the hand-made stats module does, printing a line of JSON for each thing that happens.
// Arguments: the folder with node_modules, the URL, and the transports to use, separated by commas (none: its own choice).
// Each line on standard input makes it ask for the stats again.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, url, transports] = process.argv.slice(2);
const { io } = createRequire(`${folder}/`)("socket.io-client");
const told = (event, data) => console.log(JSON.stringify({ event, data }));

const socket = io(url, {
  reconnectionDelay: 50,
  reconnectionDelayMax: 200,
  ...(transports ? { transports: transports.split(",") } : {}),
});

socket.on("connect", () => {
  told("connect", socket.io.engine.transport.name);
  socket.emit("request_stats");
});
socket.io.on("open", () => socket.io.engine.on("upgrade", (transport) => told("upgrade", transport.name)));
socket.on("disconnect", (reason) => told("disconnect", reason));
socket.on("stats_update", (stats) => told("stats_update", stats));

createInterface({ input: process.stdin })
  .on("line", () => socket.emit("request_stats"))
  .on("close", () => process.exit(0));
