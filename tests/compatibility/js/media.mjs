// A consumer of Kinesis Video media with the AWS SDK for JavaScript v3: finds its endpoint, reads from every kind of
// start, and goes on by continuation token. Says one line of JSON for each answer: the fragments that were in it.
//
//   node media.mjs NAME      a line {"waits": "NOW"} asks for more fragments; the certificate comes by NODE_EXTRA_CA_CERTS

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import * as video from "@aws-sdk/client-kinesis-video";
import * as media from "@aws-sdk/client-kinesis-video-media";

const EBML = 0x1a45dfa3, SEGMENT = 0x18538067, INFO = 0x1549a966, TRACKS = 0x1654ae6b, CLUSTER = 0x1f43b675;
const TAGS = 0x1254c367, TAG = 0x7373, SIMPLE_TAG = 0x67c8, TAG_NAME = 0x45a3, TAG_STRING = 0x4487;
const LEVEL_1 = new Set([EBML, SEGMENT, INFO, TRACKS, CLUSTER, TAGS]);
const AWS = "AWS_KINESISVIDEO_";

const [StreamName] = process.argv.slice(2);
const control = new video.KinesisVideoClient({ maxAttempts: 1 });
const { DataEndpoint } = await control.send(new video.GetDataEndpointCommand({ StreamName, APIName: "GET_MEDIA" }));
assert.match(DataEndpoint, /^https:\/\/[^/]+$/);
const client = new media.KinesisVideoMediaClient({ endpoint: DataEndpoint, maxAttempts: 3 });

// Returns { id, start, end }: the first byte of the content and the one behind it, which is null if the size is unknown.
function element(data, at) {
  const idLength = Math.clz32(data[at]) - 23;
  const id = Number(BigInt(`0x${data.subarray(at, at + idLength).toString("hex")}`));
  const sizeAt = at + idLength;
  const sizeLength = Math.clz32(data[sizeAt]) - 23;
  const all = BigInt(`0x${data.subarray(sizeAt, sizeAt + sizeLength).toString("hex")}`);
  const mask = (1n << BigInt(7 * sizeLength)) - 1n;
  const start = sizeAt + sizeLength;
  return { id, start, end: (all & mask) === mask ? null : start + Number(all & mask) };
}

function* children(data, from, to) {
  for (let at = from; at < to; ) {
    const child = element(data, at);
    yield { ...child, at };
    at = child.end;
  }
}

function tagsOf(data, from, to) {
  const found = [];
  for (const tag of children(data, from, to)) {
    for (const simple of children(data, tag.start, tag.end)) {
      const texts = Object.fromEntries(
        [...children(data, simple.start, simple.end)].map(({ id, start, end }) => [id, data.toString("utf8", start, end)]),
      );
      found.push([texts[TAG_NAME], texts[TAG_STRING]]);
    }
  }
  return found;
}

// Splits a whole body into its documents.
function fragments(data) {
  const found = [];
  for (let at = 0; at < data.length; ) {
    const { id, start, end } = element(data, at);
    let next = end;
    if (id === EBML) found.push({ tags: [] });
    else if (id === SEGMENT) next = start;
    else if (id === TAGS) found.at(-1).tags.push(...tagsOf(data, start, end));
    else if (id === CLUSTER) {
      for (next = start; end === null && next < data.length && !LEVEL_1.has(element(data, next).id); ) {
        next = element(data, next).end;
      }
      next = end ?? next;
      found.at(-1).cluster = createHash("sha256").update(data.subarray(at, next)).digest("hex");
    }
    at = next;
  }
  return found.map(({ tags, cluster }) => {
    const names = tags.map(([name]) => name).filter((name) => name.startsWith(AWS));
    const ours = Object.fromEntries(tags.filter(([name]) => name.startsWith(AWS)));
    const own = Object.fromEntries(tags.filter(([name]) => !name.startsWith(AWS)));
    return { number: ours[`${AWS}FRAGMENT_NUMBER`], token: ours[`${AWS}CONTINUATION_TOKEN`], ours, own, names, cluster };
  });
}

async function open(StartSelector) {
  const answer = await client.send(new media.GetMediaCommand({ StreamName, StartSelector }));
  assert.equal(answer.ContentType, "video/webm");
  return answer.Payload;
}

async function whole(payload) {
  const pieces = [];
  for await (const piece of payload) pieces.push(piece);
  return fragments(Buffer.concat(pieces));
}

// Reads until so many fragments are complete, and hangs up.
async function some(payload, count) {
  let held = Buffer.alloc(0);
  for await (const piece of payload) {
    held = Buffer.concat([held, piece]);
    const ends = held.toString("latin1").split(`${AWS}CONTINUATION_TOKEN`).length - 1;
    if (ends > count) break; // The one after it has begun to end, so this one is surely whole.
  }
  payload.destroy();
  const end = held.lastIndexOf(Buffer.from("1a45dfa3", "hex"));
  return fragments(held.subarray(0, end)).slice(0, count);
}

function say(selector, found) {
  console.log(JSON.stringify({ selector, found }));
}

const all = await whole(await open({ StartSelectorType: "EARLIEST" }));
say("EARLIEST", all);
const second = all[1];
const at = (name) => new Date(Number(second.ours[`${AWS}${name}_TIMESTAMP`]) * 1000);
const starts = {
  FRAGMENT_NUMBER: { AfterFragmentNumber: second.number },
  CONTINUATION_TOKEN: { ContinuationToken: second.token },
  SERVER_TIMESTAMP: { StartTimestamp: at("SERVER") },
  PRODUCER_TIMESTAMP: { StartTimestamp: at("PRODUCER") },
};
for (const [StartSelectorType, companion] of Object.entries(starts)) {
  say(StartSelectorType, await whole(await open({ StartSelectorType, ...companion })));
}

const continued = await some(await open({ StartSelectorType: "EARLIEST" }), 2);
continued.push(...(await whole(await open({
  StartSelectorType: "CONTINUATION_TOKEN", ContinuationToken: continued.at(-1).token,
}))));
say("continued", continued);

const live = await open({ StartSelectorType: "NOW" });
console.log(JSON.stringify({ waits: "NOW" }));
say("NOW", await whole(live));

// A number of the right kind that no fragment ever had: the answer is an error tag, not an HTTP status.
const AfterFragmentNumber = String(BigInt(second.number) + (1_000_000n << 92n));
say("unknown", await whole(await open({ StartSelectorType: "FRAGMENT_NUMBER", AfterFragmentNumber })));
await assert.rejects(client.send(new media.GetMediaCommand({
  StreamName: `${StreamName}-nowhere`, StartSelector: { StartSelectorType: "NOW" },
})), (raised) => raised instanceof media.ResourceNotFoundException);
await assert.rejects(open({ StartSelectorType: "SERVER_TIMESTAMP" }), media.InvalidArgumentException);
