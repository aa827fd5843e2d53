// What Edgewise is compared with: the least that a JavaScript Worker with a Durable Object can do.
//
//   POST /hop     the Worker hands the request to the object, which replies and stores nothing
//   POST /insert  the object reads the message and inserts it into D1, one statement a request, and replies
//   GET  /ws      the object accepts a hibernating socket
//   POST /send    the object reads the message and sends it to each socket, one frame a message, and replies

import { DurableObject } from "cloudflare:workers";

export default {
    fetch(request, env) {
        return env.OBJECTS.get(env.OBJECTS.idFromName("channel")).fetch(request);
    },
};

const reply = () => new Response('{"ok":true}', { status: 201, headers: { "Content-Type": "application/json" } });

export class Bare extends DurableObject {
    async fetch(request) {
        switch (new URL(request.url).pathname) {
            case "/hop":
                return reply();
            case "/insert": {
                const { content, nonce } = await request.json();
                const insert = this.env.DB.prepare("INSERT INTO messages (content, nonce) VALUES (?, ?)");
                await insert.bind(content, nonce).run();
                return reply();
            }
            case "/ws": {
                const { 0: client, 1: server } = new WebSocketPair();
                this.ctx.acceptWebSocket(server);
                this.sockets = undefined;
                return new Response(null, { status: 101, webSocket: client });
            }
            case "/send": {
                const frame = await request.arrayBuffer();
                this.sockets ??= this.ctx.getWebSockets();
                for (const socket of this.sockets) socket.send(frame);
                return reply();
            }
        }
    }

    webSocketMessage() {}

    webSocketClose() {
        this.sockets = undefined;
    }
}
