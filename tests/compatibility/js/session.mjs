// The worked session of the API specification, by the AWS SDK for JavaScript v3 as npm has it: nothing set but the
// environment that `carillon env` prints. Says one line of JSON for each operation that answered as it should.
//
//   node session.mjs NAME PUSH...      PUSH is the command that streams a call into the stream NAME

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

import * as pipelines from "@aws-sdk/client-chime-sdk-media-pipelines";
import * as voice from "@aws-sdk/client-chime-sdk-voice";
import * as video from "@aws-sdk/client-kinesis-video";
import * as archived from "@aws-sdk/client-kinesis-video-archived-media";
import * as media from "@aws-sdk/client-kinesis-video-media";

const [name, ...push] = process.argv.slice(2);
const services = {
  "chime-sdk-media-pipelines": [pipelines, new pipelines.ChimeSDKMediaPipelinesClient({ maxAttempts: 1 })],
  "chime-sdk-voice": [voice, new voice.ChimeSDKVoiceClient({ maxAttempts: 1 })],
  kinesisvideo: [video, new video.KinesisVideoClient({ maxAttempts: 1 })],
  "kinesis-video-media": [media, new media.KinesisVideoMediaClient({ maxAttempts: 1 })],
  "kinesis-video-archived-media": [archived, new archived.KinesisVideoArchivedMediaClient({ maxAttempts: 1 })],
};
const PIPELINES = "chime-sdk-media-pipelines";
const VOICE = "chime-sdk-voice";
const VIDEO = "kinesisvideo";
const ARCHIVED = "kinesis-video-archived-media";

async function call(service, operation, status, input = {}) {
  const [sdk, client] = services[service];
  const answer = await client.send(new sdk[`${operation}Command`](input));
  assert.equal(answer.$metadata.httpStatusCode, status, operation);
  assert.match(answer.$metadata.requestId, /^[0-9a-f-]{36}$/);
  console.log(JSON.stringify({ service, operation }));
  return answer;
}

async function refused(service, operation, error, input) {
  const [sdk, client] = services[service];
  await assert.rejects(client.send(new sdk[`${operation}Command`](input)), (raised) => {
    assert.equal(raised.name, error);
    assert.ok(raised instanceof sdk[error], `${error} is not of the SDK's own class`);
    assert.ok(raised.message.length > 10, raised.message);
    return true;
  });
}

// Operations that this server answers, as "service operation"; steps for others are left out.
const covered = new Set(JSON.parse(process.env.COVERED));
const has = (service, operation) => covered.has(`${service} ${operation}`);

async function tagged(service, ResourceARN) {
  if (!has(service, "TagResource")) return;
  const Tags = [{ Key: "team", Value: "voice" }];
  await call(service, "TagResource", 204, { ResourceARN, Tags });
  assert.deepEqual((await call(service, "ListTagsForResource", 200, { ResourceARN })).Tags, Tags);
  await call(service, "UntagResource", 204, { ResourceARN, TagKeys: ["team"] });
}

async function eventually(ask) {
  for (let turn = 0; turn < 200; turn += 1) {
    const found = await ask();
    if (found) return found;
    await pause(100);
  }
  throw new Error("it did not come to pass");
}

// 1. A domain.
const made = (await call(VOICE, "CreateVoiceProfileDomain", 201, {
  Name: name,
  Description: "for JavaScript",
  ServerSideEncryptionConfiguration: { KmsKeyArn: "arn:aws:kms:us-east-1:111122223333:key/1" },
})).VoiceProfileDomain;
assert.ok(made.CreatedTimestamp instanceof Date);
const domain = { VoiceProfileDomainId: made.VoiceProfileDomainId };
assert.equal((await call(VOICE, "GetVoiceProfileDomain", 200, domain)).VoiceProfileDomain.Name, name);
const domains = await call(VOICE, "ListVoiceProfileDomains", 200, { MaxResults: 1 });
assert.equal(domains.VoiceProfileDomains.length, 1);
if (has(VOICE, "UpdateVoiceProfileDomain")) {
  const updated = await call(VOICE, "UpdateVoiceProfileDomain", 200, { ...domain, Description: "otherwise" });
  assert.equal(updated.VoiceProfileDomain.Description, "otherwise");
}
await tagged(VOICE, made.VoiceProfileDomainArn);

// 2. A configuration.
const configuration = (await call(PIPELINES, "CreateMediaInsightsPipelineConfiguration", 201, {
  MediaInsightsPipelineConfigurationName: name,
  ResourceAccessRoleArn: "arn:aws:iam::111122223333:role/any",
  Elements: [
    {
      Type: "VoiceAnalyticsProcessor",
      VoiceAnalyticsProcessorConfiguration: { SpeakerSearchStatus: "Enabled", VoiceToneAnalysisStatus: "Enabled" },
    },
  ],
})).MediaInsightsPipelineConfiguration;
for (const Identifier of [name, configuration.MediaInsightsPipelineConfigurationArn]) {
  const found = await call(PIPELINES, "GetMediaInsightsPipelineConfiguration", 200, { Identifier });
  assert.deepEqual(found.MediaInsightsPipelineConfiguration, configuration);
}
await call(PIPELINES, "ListMediaInsightsPipelineConfigurations", 200);
if (has(PIPELINES, "UpdateMediaInsightsPipelineConfiguration")) {
  const { ResourceAccessRoleArn, Elements } = configuration;
  const wanted = { Identifier: name, ResourceAccessRoleArn, Elements };
  const updated = await call(PIPELINES, "UpdateMediaInsightsPipelineConfiguration", 200, wanted);
  assert.deepEqual(updated.MediaInsightsPipelineConfiguration.Elements, Elements);
}
await tagged(PIPELINES, configuration.MediaInsightsPipelineConfigurationArn);

// 3. A stream.
const { StreamARN } = await call(VIDEO, "CreateStream", 200, { StreamName: name, DataRetentionInHours: 1 });
const stream = (await call(VIDEO, "DescribeStream", 200, { StreamName: name })).StreamInfo;
assert.equal(stream.StreamARN, StreamARN);
await call(VIDEO, "ListStreams", 200);
await call(VIDEO, "TagStream", 200, { StreamARN, Tags: { AWSServiceName: "ChimeSDK" } });
assert.deepEqual((await call(VIDEO, "ListTagsForStream", 200, { StreamARN })).Tags, { AWSServiceName: "ChimeSDK" });
await call(VIDEO, "UntagStream", 200, { StreamARN, TagKeyList: ["AWSServiceName"] });
if (has(VIDEO, "TagResource")) {
  await call(VIDEO, "TagResource", 200, { ResourceARN: StreamARN, Tags: [{ Key: "a", Value: "b" }] });
  const { Tags } = await call(VIDEO, "ListTagsForResource", 200, { ResourceARN: StreamARN });
  assert.deepEqual(Tags, { a: "b" });
  await call(VIDEO, "UntagResource", 200, { ResourceARN: StreamARN, TagKeyList: ["a"] });
}
await call(VIDEO, "UpdateStream", 200, { StreamARN, CurrentVersion: stream.Version, DeviceName: "pbx" });
const { Version } = (await call(VIDEO, "DescribeStream", 200, { StreamARN })).StreamInfo;
await call(VIDEO, "UpdateDataRetention", 200, {
  StreamARN, CurrentVersion: Version, Operation: "INCREASE_DATA_RETENTION", DataRetentionChangeInHours: 1,
});
await call(VIDEO, "GetDataEndpoint", 200, { StreamARN, APIName: "GET_MEDIA" });

// 4. A pipeline.
const pipeline = (await call(PIPELINES, "CreateMediaInsightsPipeline", 201, {
  MediaInsightsPipelineConfigurationArn: configuration.MediaInsightsPipelineConfigurationArn,
  KinesisVideoStreamSourceRuntimeConfiguration: {
    MediaEncoding: "pcm",
    MediaSampleRate: 8000,
    Streams: [
      {
        StreamArn: StreamARN,
        StreamChannelDefinition: {
          NumberOfChannels: 2,
          ChannelDefinitions: [
            { ChannelId: 0, ParticipantRole: "CUSTOMER" },
            { ChannelId: 1, ParticipantRole: "AGENT" },
          ],
        },
      },
    ],
  },
  MediaInsightsRuntimeMetadata: { callId: "b7c7b6a0" },
})).MediaInsightsPipeline;
const MediaPipelineId = pipeline.MediaPipelineId;
const found = await call(PIPELINES, "GetMediaPipeline", 200, { MediaPipelineId });
assert.deepEqual(found.MediaPipeline.MediaInsightsPipeline, pipeline);
await call(PIPELINES, "ListMediaPipelines", 200, { MaxResults: 100 });

// 5. Both tasks, by the pipeline's ARN and by its id.
const source = { StreamArn: StreamARN, ChannelId: 0 };
const search = (await call(PIPELINES, "StartSpeakerSearchTask", 201, {
  Identifier: pipeline.MediaPipelineArn,
  VoiceProfileDomainArn: made.VoiceProfileDomainArn,
  KinesisVideoStreamSourceTaskConfiguration: source,
})).SpeakerSearchTask;
const tone = (await call(PIPELINES, "StartVoiceToneAnalysisTask", 201, {
  Identifier: MediaPipelineId,
  LanguageCode: "en-US",
  KinesisVideoStreamSourceTaskConfiguration: source,
})).VoiceToneAnalysisTask;
const searching = { Identifier: MediaPipelineId, SpeakerSearchTaskId: search.SpeakerSearchTaskId };
const listening = { Identifier: MediaPipelineId, VoiceToneAnalysisTaskId: tone.VoiceToneAnalysisTaskId };
await refused(PIPELINES, "StartSpeakerSearchTask", "ConflictException", {
  Identifier: MediaPipelineId,
  VoiceProfileDomainArn: made.VoiceProfileDomainArn,
  KinesisVideoStreamSourceTaskConfiguration: source,
});
await refused(VOICE, "CreateVoiceProfile", "ConflictException", { SpeakerSearchTaskId: search.SpeakerSearchTaskId });

await promisify(execFile)(push[0], push.slice(1)); // Rejects where the command fails.
const ended = await eventually(async () => {
  const [sdk, client] = services[PIPELINES];
  const { SpeakerSearchTask } = await client.send(new sdk.GetSpeakerSearchTaskCommand(searching));
  return SpeakerSearchTask.SpeakerSearchTaskStatus === "Stopped" && SpeakerSearchTask;
});
assert.ok(ended.UpdatedTimestamp >= ended.CreatedTimestamp);
await call(PIPELINES, "GetSpeakerSearchTask", 200, searching);
await call(PIPELINES, "GetVoiceToneAnalysisTask", 200, listening);
await refused(PIPELINES, "StopSpeakerSearchTask", "ConflictException", searching);
const VoiceConnectorId = MediaPipelineId; // Our extension: results can be polled for.
if (has(VOICE, "GetSpeakerSearchTask")) {
  const { SpeakerSearchTaskId } = search;
  const results = await call(VOICE, "GetSpeakerSearchTask", 200, { VoiceConnectorId, SpeakerSearchTaskId });
  const details = results.SpeakerSearchTask.SpeakerSearchDetails;
  assert.equal(details.VoiceprintGenerationStatus, "VoiceprintGenerationSuccess");
}
if (has(VOICE, "GetVoiceToneAnalysisTask")) {
  const { VoiceToneAnalysisTaskId } = tone;
  await call(VOICE, "GetVoiceToneAnalysisTask", 200, { VoiceConnectorId, VoiceToneAnalysisTaskId, IsCaller: true });
}
await call(PIPELINES, "StopVoiceToneAnalysisTask", 204, listening);

// What was streamed can be read back.
const start = { StartSelectorType: "EARLIEST" };
const { Payload } = await call("kinesis-video-media", "GetMedia", 200, { StreamARN, StartSelector: start });
const first = await Payload[Symbol.asyncIterator]().next();
assert.deepEqual([...first.value.slice(0, 4)], [0x1a, 0x45, 0xdf, 0xa3]); // EBML
Payload.destroy();

// It can be found by its time, page by page, and read back by number.
const TimestampRange = { StartTimestamp: new Date(0), EndTimestamp: new Date(4e12) };
const FragmentSelector = { FragmentSelectorType: "SERVER_TIMESTAMP", TimestampRange };
const page = await call(ARCHIVED, "ListFragments", 200, { StreamARN, FragmentSelector, MaxResults: 2 });
const next = await call(ARCHIVED, "ListFragments", 200, { StreamARN, NextToken: page.NextToken, MaxResults: 2 });
const Fragments = [...page.Fragments, ...next.Fragments].map((fragment) => fragment.FragmentNumber);
assert.equal(new Set(Fragments).size, 4);
assert.ok(page.Fragments[0].ServerTimestamp instanceof Date);
const replayed = await call(ARCHIVED, "GetMediaForFragmentList", 200, { StreamARN, Fragments });
const body = Buffer.from(await replayed.Payload.transformToByteArray());
for (const number of Fragments) assert.ok(body.includes(number), number);
await refused(ARCHIVED, "ListFragments", "InvalidArgumentException", { StreamARN });

// A second task to stop, and the errors of what does not exist.
const other = (await call(PIPELINES, "StartSpeakerSearchTask", 201, {
  Identifier: MediaPipelineId,
  VoiceProfileDomainArn: made.VoiceProfileDomainArn,
  KinesisVideoStreamSourceTaskConfiguration: { ...source, ChannelId: 1 },
})).SpeakerSearchTask;
await call(PIPELINES, "StopSpeakerSearchTask", 204, {
  Identifier: MediaPipelineId, SpeakerSearchTaskId: other.SpeakerSearchTaskId,
});
await refused(PIPELINES, "GetSpeakerSearchTask", "NotFoundException", {
  ...searching, SpeakerSearchTaskId: "3f2f6c0e-6a0a-4a55-8a1b-0f5e5a7d1c11",
});
await refused(PIPELINES, "GetMediaPipeline", "BadRequestException", { MediaPipelineId: "not-a-guid" });
await refused(VIDEO, "DescribeStream", "ResourceNotFoundException", { StreamName: "nowhere" });

// 6. Enroll the caller.
const profile = (await call(VOICE, "CreateVoiceProfile", 201, { SpeakerSearchTaskId: search.SpeakerSearchTaskId }))
  .VoiceProfile;
const one = { VoiceProfileId: profile.VoiceProfileId };
assert.deepEqual((await call(VOICE, "GetVoiceProfile", 200, one)).VoiceProfile, profile);
const renewed = await call(VOICE, "UpdateVoiceProfile", 200, {
  ...one, SpeakerSearchTaskId: search.SpeakerSearchTaskId,
});
assert.ok(renewed.VoiceProfile.ExpirationTimestamp > new Date());
assert.equal((await call(VOICE, "ListVoiceProfiles", 200, domain)).VoiceProfiles.length, 1);

// 7. The end.
if (has(PIPELINES, "UpdateMediaInsightsPipelineStatus")) {
  for (const UpdateStatus of ["Pause", "Resume"]) {
    await call(PIPELINES, "UpdateMediaInsightsPipelineStatus", 200, { Identifier: MediaPipelineId, UpdateStatus });
    const { MediaPipeline } = await call(PIPELINES, "GetMediaPipeline", 200, { MediaPipelineId });
    assert.equal(MediaPipeline.MediaInsightsPipeline.Status === "Paused", UpdateStatus === "Pause");
  }
}
await call(PIPELINES, "DeleteMediaPipeline", 204, { MediaPipelineId });
await eventually(async () => {
  const [sdk, client] = services[PIPELINES];
  try {
    const { MediaPipeline } = await client.send(new sdk.GetMediaPipelineCommand({ MediaPipelineId }));
    return MediaPipeline.MediaInsightsPipeline.Status === "Stopped";
  } catch (error) {
    return error.name === "NotFoundException";
  }
});
await call(PIPELINES, "DeleteMediaInsightsPipelineConfiguration", 204, { Identifier: name });
await call(VOICE, "DeleteVoiceProfile", 204, one);
await refused(VOICE, "GetVoiceProfile", "NotFoundException", one);
await call(VOICE, "DeleteVoiceProfileDomain", 204, domain);
await call(VIDEO, "DeleteStream", 200, { StreamARN });
