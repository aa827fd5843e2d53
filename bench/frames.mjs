// The little of the protobuf frames that a load generator needs, by hand: encoding a send, counting acks and messages.

const REQUEST_ID = 1;
const ERROR = 99;
const NEW_MESSAGE_EVENT = 120;
const SEND_MESSAGE_REQUEST = 132;
const ACK = 144;
const ENVELOPE_BATCH = 148;
const LENGTH_DELIMITED = 2;

/** An Envelope with a send_message_request. */
export function sendRequest(requestId, content, nonce) {
    const request = Buffer.concat([text(1, content), text(3, nonce)]);
    return Buffer.concat([text(REQUEST_ID, requestId), field(SEND_MESSAGE_REQUEST, request)]);
}

/** How many acks and new messages a frame holds, alone or in a batch; throws where a request was refused. */
export function count(frame, counts = { acks: 0, messages: 0 }) {
    for (const [number, bytes] of fields(frame)) {
        if (number === ACK) counts.acks += 1;
        else if (number === NEW_MESSAGE_EVENT) counts.messages += 1;
        else if (number === ERROR) throw new Error(`refused: ${bytes}`);
        else if (number === ENVELOPE_BATCH) for (const [, envelope] of fields(bytes)) count(envelope, counts);
    }
    return counts;
}

/** The fields that hold bytes. */
function* fields(bytes) {
    for (let at = 0; at < bytes.length; ) {
        const [tag, afterTag] = readVarint(bytes, at);
        const [value, afterValue] = readVarint(bytes, afterTag);
        at = afterValue;
        if ((tag & 7) !== LENGTH_DELIMITED) continue;
        yield [tag >>> 3, bytes.subarray(at, at + value)];
        at += value;
    }
}

function readVarint(bytes, at) {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
        const byte = bytes[at++];
        value += (byte & 127) * factor;
        if (byte < 128) return [value, at];
    }
}

const text = (number, value) => field(number, Buffer.from(value));
const field = (number, bytes) => Buffer.concat([varint(number * 8 + LENGTH_DELIMITED), varint(bytes.length), bytes]);

function varint(value) {
    const bytes = [];
    for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
    return Buffer.from([...bytes, value]);
}
