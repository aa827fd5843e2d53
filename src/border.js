// The JavaScript side of border.rs.

const NONE = "\0";

// Futures are polled in microtasks. The runtime's `queueMicrotask` goes through C++; a settled promise's `then` is V8's
// own, and the same.
const settled = Promise.resolve();
globalThis.queueMicrotask = (task) => void settled.then(task);

/** A request's method, URL and headers of these names, a line each; no line can hold a line break. */
export function head(request, names) {
    const { headers } = request;
    let lines = `${request.method}\n${request.url}`;
    for (const name of names.split("\n")) lines += `\n${headers.get(name) ?? NONE}`;
    return lines;
}

/** `headers`: names and values in turn, a line each. `bytes` is a view into memory that moves on: it is copied. */
export function respond(status, headers, bytes, webSocket) {
    const lines = headers.split("\n");
    const pairs = [];
    for (let line = 0; line + 1 < lines.length; line += 2) pairs.push([lines[line], lines[line + 1]]);
    return new Response(bytes?.slice(), { status, headers: pairs, webSocket });
}

/** Something that one request waits for and another brings about; by itself it comes about after `ms`. */
export class Signal {
    constructor(ms) {
        const { promise, resolve } = Promise.withResolvers();
        const timer = setTimeout(resolve, ms);
        this.raise = resolve;
        this.raised = promise.then(() => clearTimeout(timer));
    }
}
