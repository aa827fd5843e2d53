// The server under test: the built Worker in workerd, with D1 and Durable Objects on disk.
//
// Speaks JSON lines with the test process. The first line of stdin says what to run:
//   {root, build, state, port, vars, log}
// and is answered with {ready: true, url} or {ready: false, error}. Then each {id, cmd, …} is answered with
// {id, result} or {id, error}:
//   evict {channel}      drops the channel's object from memory as soon as it rests, and its sockets hibernate; false
//                        where it was not in memory
//   reset                resets every object in the middle of what it does: its requests and sockets break
//   sql {sql, params}    runs a statement on the database, and gives its rows
//   logged               what the Worker has logged, a line each
//   crash                kills workerd and this process with SIGKILL, so without an answer
// At the end of stdin everything ends, and the state folder goes: nothing outlives the test process.

import childProcess from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";

const NAME = "edgewise";

/** A Worker beside the one under test, that can do what no other can. */
const RESETTER = {
    name: "resetter",
    compatibilityDate: "2026-11-01",
    compatibilityFlags: ["unsafe_module"],
    modules: true,
    script: `import unsafe from "workerd:unsafe";
        export default { async fetch() { await unsafe.abortAllDurableObjects(); return new Response(); } };`,
};

/** Every process that Miniflare starts: workerd is one of them. */
const children = new Set();
const { spawn } = childProcess;
childProcess.spawn = (...args) => {
    const child = spawn(...args);
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
};

process.env.WRANGLER_SEND_METRICS = "false";
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";

const write = process.stdout.write.bind(process.stdout);
const say = (message) => write(`${JSON.stringify(message)}\n`);
/** Where what the server logs is kept, if it is to be. */
let logFile;
const log = (message) => {
    if (process.env.EDGEWISE_TEST_LOG) process.stderr.write(`${message}\n`);
    if (logFile) fs.appendFileSync(logFile, `${message}\n`);
};

// What libraries have to say is no part of the conversation.
process.stdout.write = (text) => {
    log(String(text).trimEnd());
    return true;
};

/** What the Worker has logged. */
const logged = [];

async function start({ root, build, state, port, vars }) {
    const { convertV4MiniflareOptions, Log, LogLevel, Miniflare } = await import("miniflare");
    const wrangler = await import("wrangler");
    const config = path.join(root, "wrangler.toml");
    const { workerOptions } = wrangler.unstable_getMiniflareWorkerOptions(config);
    const miniflare = new Miniflare(
        convertV4MiniflareOptions({
            workers: [
                // Alone with its vars: a developer's .dev.vars are no business of the tests.
                { ...workerOptions, name: NAME, bindings: vars, modules: modules(build), modulesRoot: build },
                RESETTER,
            ],
            host: "127.0.0.1",
            port,
            cf: false,
            resourcePersistencePath: state,
            handleStructuredLogs: ({ level, message }) => {
                logged.push(`${level}: ${message}`);
                log(logged.at(-1));
            },
            log: new Log(LogLevel.NONE),
        }),
    );
    const url = await miniflare.ready;
    const database = await miniflare.getD1Database("DB");
    await migrate(database, path.join(root, "migrations"), wrangler.unstable_splitSqlQuery);
    say({ ready: true, url: url.origin });
    return { miniflare, database };
}

/** The built Worker's modules, `index.js` first. */
function modules(build) {
    const types = { ".js": "ESModule", ".wasm": "CompiledWasm" };
    return fs
        .readdirSync(build)
        .filter((file) => types[path.extname(file)])
        .sort((a, b) => (b === "index.js") - (a === "index.js"))
        .map((file) => ({ type: types[path.extname(file)], path: path.join(build, file) }));
}

/** Applies the migrations that the database has not seen, each in one transaction. */
async function migrate(database, folder, split) {
    await database.prepare("CREATE TABLE IF NOT EXISTS d1_migrations (name TEXT PRIMARY KEY)").run();
    const { results } = await database.prepare("SELECT name FROM d1_migrations").all();
    const applied = new Set(results.map(({ name }) => name));
    const files = fs.readdirSync(folder).filter((file) => file.endsWith(".sql"));
    for (const file of files.sort().filter((file) => !applied.has(file))) {
        const statements = split(fs.readFileSync(path.join(folder, file), "utf8"));
        const done = database.prepare("INSERT INTO d1_migrations VALUES (?)").bind(file);
        await database.batch([...statements.map((sql) => database.prepare(sql)), done]);
    }
}

const commands = {
    evict: async ({ miniflare }, { channel }) => {
        try {
            await miniflare.unsafeEvictDurableObject(NAME, "Channel", { name: channel, webSockets: "hibernate" });
            return true;
        } catch (error) {
            if (String(error).includes("not currently running")) return false;
            throw error;
        }
    },
    reset: async ({ miniflare }) => {
        const resetter = await miniflare.getWorker(RESETTER.name);
        await (await resetter.fetch("http://resetter/")).text();
    },
    sql: async ({ database }, { sql, params = [] }) =>
        (await database.prepare(sql).bind(...params).all()).results,
    logged: () => logged,
    crash: () => {
        killChildren();
        process.kill(process.pid, "SIGKILL");
    },
};

function killChildren() {
    for (const child of children) child.kill("SIGKILL");
}

function end(code) {
    killChildren();
    if (state) fs.rmSync(state, { recursive: true, force: true, maxRetries: 5 });
    process.exit(code);
}

let state;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => end(1));
process.on("unhandledRejection", (error) => log(`harness: ${error?.stack}`));

const lines = readline.createInterface({ input: process.stdin });
lines.on("close", () => end(0));
lines.once("line", (first) => {
    const options = JSON.parse(first);
    ({ state, log: logFile } = options);
    const running = start(options);
    running.catch((error) => {
        say({ ready: false, error: String(error?.stack ?? error) });
        end(1);
    });
    lines.on("line", async (line) => {
        const { id, cmd, ...parameters } = JSON.parse(line);
        try {
            const result = await commands[cmd](await running, parameters);
            say({ id, result: result ?? null });
        } catch (error) {
            say({ id, error: String(error?.message ?? error) });
        }
    });
});
