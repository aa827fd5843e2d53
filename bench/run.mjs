// What Edgewise costs its server, beside the least that the platform permits. Called by `cargo xtask bench`.
//
// Measured is the CPU time of workerd for a load, for Edgewise (the release build) and for a bare JavaScript Worker
// (`bare.mjs`) in the same runtime, in rounds that take turns, so that what disturbs the machine disturbs both. A ratio is
// taken within a round, and the median over the rounds is what counts.
//
//   rest     64 senders over REST, each with one request under way, to one channel
//   socket   one WebSocket with 64 send requests in flight, to one channel
//   fan-out  64 senders over REST to a channel with 1,000 sockets; a message is delivered once for each socket

import path from "node:path";

import * as frames from "./frames.mjs";
import { Senders } from "./rest.mjs";
import { startBare, startEdgewise } from "./server.mjs";
import { Audience, Pipeline } from "./socket.mjs";

const ROUNDS = Number(process.argv[2] ?? 3);
const CONCURRENCY = 64;
const SOCKETS = 1000;
/** How many messages each load sends a round: a few seconds of CPU each. */
const SENDS = 2000;
const BARE_FAN_OUT = 48;
const FAN_OUT = 768;

const root = path.dirname(import.meta.dirname);
const [edgewise, bare] = [await startEdgewise(root), await startBare()];
const users = (prefix, number) => Array.from({ length: number }, (_, user) => edgewise.token(`${prefix}-${user}`));
const tokens = users("sender", CONCURRENCY);

const rest = new Senders(edgewise.origin, messages(await edgewise.channel("rest")), tokens);
const hop = new Senders(bare.origin, "/hop", tokens);
const insert = new Senders(bare.origin, "/insert", tokens);
const pipeline = await Pipeline.open(socket(await edgewise.channel("socket")), tokens[0]);

const crowded = await edgewise.channel("fan-out");
const crowd = users("reader", SOCKETS);
const speakers = new Senders(edgewise.origin, messages(crowded), tokens);
const bareSpeakers = new Senders(bare.origin, "/send", tokens);
const audience = await Audience.open(socket(crowded), crowd, (frame) => frames.count(frame).messages);
const bareAudience = await Audience.open(`${bare.origin}/ws`, crowd.map(() => ""), () => 1);

/** Each load: on which server, how many operations a round, how to run so many, and what comes before, unmeasured. */
const loads = {
    rest: [edgewise, SENDS, (sends) => rest.send(sends)],
    hop: [bare, SENDS, (sends) => hop.send(sends)],
    insert: [bare, SENDS, (sends) => insert.send(sends)],
    socket: [edgewise, SENDS, (sends) => pipeline.send(sends, CONCURRENCY)],
    fanOut: [edgewise, FAN_OUT, heard(audience, speakers), SOCKETS, () => audience.ping()],
    bareFanOut: [bare, BARE_FAN_OUT, heard(bareAudience, bareSpeakers), SOCKETS],
};

/** Operations per CPU second of the server. */
async function measure([server, operations, run, deliveries = 1, prepare = async () => {}]) {
    await prepare();
    const before = server.cpuSeconds();
    await run(operations);
    return (operations * deliveries) / (server.cpuSeconds() - before);
}

for (const [, operations, run] of Object.values(loads)) await run(Math.ceil(operations / 8));
const rates = Object.fromEntries(Object.keys(loads).map((name) => [name, []]));
for (let round = 1; round <= ROUNDS; round += 1) {
    for (const [name, load] of Object.entries(loads)) rates[name].push(await measure(load));
    console.error(`round ${round} of ${ROUNDS} measured`);
}
print();
process.exit(0);

function print() {
    const ratios = (over, under) => over.map((rate, round) => rate / under[round]);
    const rows = [
        ["64 REST senders: sends", rates.rest],
        ["  a bare hop that stores nothing", rates.hop, ratios(rates.rest, rates.hop), 0.7],
        ["  a hop with one INSERT a request", rates.insert, ratios(rates.rest, rates.insert), 1.6],
        ["one socket, 64 in flight: sends", rates.socket, ratios(rates.rest, rates.socket), -0.6],
        ["1,000 sockets, 64 senders: deliveries", rates.fanOut],
        ["  a bare loop of a frame a message", rates.bareFanOut, ratios(rates.fanOut, rates.bareFanOut), 3],
    ];
    console.log("per CPU second of the server            median      of rounds                  ratio  target");
    for (const [title, perSecond, ratio, target] of rows) {
        const all = perSecond.map(whole).join(" ");
        const verdict = ratio ? `${median(ratio).toFixed(2).padStart(5)}  ${judged(median(ratio), target)}` : "";
        console.log(`${title.padEnd(39)} ${whole(median(perSecond))}  ${all.padEnd(28)} ${verdict}`.trimEnd());
    }
    console.log("Ratios are Edgewise's rate over the bare one's; for the socket, its CPU per send over that of REST.");
}

/** A target is a lower bound, or an upper one where it is negative. */
function judged(ratio, target) {
    const met = target < 0 ? ratio <= -target : ratio >= target;
    return `${target < 0 ? "<=" : ">="} ${Math.abs(target)} ${met ? "met" : "MISSED"}`;
}

function median(values) {
    const sorted = values.toSorted((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function whole(value) {
    return Math.round(value).toLocaleString("en").padStart(8);
}

function heard(audience, speakers) {
    return (sends) => audience.receives(sends, () => speakers.send(sends));
}

function messages(channel) {
    return `/api/channels/${channel}/messages`;
}

function socket(channel) {
    return `${edgewise.origin}/api/channels/${channel}/ws`;
}
