"""Several keys, each with a policy: the command line makes them, a running server heeds them, boto3 meets them."""

import json
import stat
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

KMS = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}


@pytest.fixture(scope="module")
def served(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return start_server(tmp_path_factory.mktemp("keys") / "data")


def client(server: Any, key: dict[str, Any], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
        aws_session_token=key.get("session_token"),
        config=Config(retries={"total_max_attempts": 1}),
    )


def code(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def eventually(expected: str, call: Callable[[], Any]) -> None:
    """What changed in the file is noticed soon; the deadline only ends a hang."""
    deadline = time.monotonic() + 120
    while (got := code(call)) != expected:
        assert time.monotonic() < deadline, got
        time.sleep(0.05)


@pytest.fixture
def make_key(served: Any, carillon: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def make(*statements: dict[str, Any], **options: str) -> dict[str, Any]:
        arguments = [f"--{name}={value}" for name, value in options.items()]
        if statements:
            path = tmp_path / f"{uuid.uuid4()}.json"
            path.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
            arguments.append(f"--policy={path}")
        done = carillon("keys", "create", "--name", "test", "--json", "--data-dir", str(served.data_dir), *arguments)
        made: dict[str, Any] = json.loads(done.stdout)
        with_token = {**made, "secret_access_key": "wrong"}
        eventually("InvalidSignatureException", client(served, with_token, "kinesisvideo").list_streams)
        return made

    return make


def test_a_key_sees_and_touches_only_what_its_policy_allows(served: Any, make_key: Any) -> None:
    owner = served.client("chime-sdk-voice")
    mine, other = (
        owner.create_voice_profile_domain(Name=name, ServerSideEncryptionConfiguration=KMS)["VoiceProfileDomain"]
        for name in ("mine", "other")
    )
    streams = served.client("kinesisvideo")
    call, secret = (streams.create_stream(StreamName=name)["StreamARN"] for name in ("call-1", "secret"))
    key = make_key(
        {"Effect": "Allow", "Action": "chime:List*", "Resource": "*"},
        {"Effect": "Allow", "Action": "chime:*", "Resource": mine["VoiceProfileDomainArn"]},
        {"Effect": "Allow", "Action": "kinesisvideo:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": secret},
    )
    voice = client(served, key, "chime-sdk-voice")
    shown = voice.list_voice_profile_domains()["VoiceProfileDomains"]
    assert [domain["Name"] for domain in shown] == ["mine"]
    assert voice.get_voice_profile_domain(VoiceProfileDomainId=mine["VoiceProfileDomainId"])
    with pytest.raises(ClientError) as caught:
        voice.delete_voice_profile_domain(VoiceProfileDomainId=other["VoiceProfileDomainId"])
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert error["Error"]["Code"] in {"AccessDeniedException", "ForbiddenException"}
    assert "chime:DeleteVoiceProfileDomain on resource " + other["VoiceProfileDomainArn"] in error["Error"]["Message"]
    assert owner.get_voice_profile_domain(VoiceProfileDomainId=other["VoiceProfileDomainId"]), "nothing was done"

    video = client(served, key, "kinesisvideo")
    assert [info["StreamARN"] for info in video.list_streams()["StreamInfoList"]] == [call]
    assert video.describe_stream(StreamName="call-1")
    for named in ({"StreamName": "secret"}, {"StreamARN": secret}):
        with pytest.raises(video.exceptions.NotAuthorizedException) as refused:
            video.describe_stream(**named)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401
        assert secret in refused.value.response["Error"]["Message"]
    pipelines = client(served, key, "chime-sdk-media-pipelines")
    with pytest.raises(pipelines.exceptions.ForbiddenException):
        pipelines.get_media_pipeline(MediaPipelineId=str(uuid.uuid4()))


def test_pages_of_a_list_go_on_past_what_is_hidden(served: Any, make_key: Any) -> None:
    owner = served.client("chime-sdk-voice")
    made = [
        owner.create_voice_profile_domain(Name=f"page-{n}", ServerSideEncryptionConfiguration=KMS)["VoiceProfileDomain"]
        for n in range(5)
    ]
    last = max(made, key=lambda domain: domain["VoiceProfileDomainId"])
    voice = client(
        served,
        make_key(
            {"Effect": "Allow", "Action": "chime:ListVoiceProfileDomains", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": "chime:GetVoiceProfileDomain",
                "Resource": [last["VoiceProfileDomainArn"], made[0]["VoiceProfileDomainArn"]],
            },
        ),
        "chime-sdk-voice",
    )
    seen: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = voice.list_voice_profile_domains(MaxResults=1, **token)
        seen += [domain["VoiceProfileDomainId"] for domain in page["VoiceProfileDomains"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert sorted(seen) == sorted({last["VoiceProfileDomainId"], made[0]["VoiceProfileDomainId"]})


def test_a_token_belongs_to_the_account_whichever_key_signs(served: Any, make_key: Any) -> None:
    wanted = {"Name": "once", "ServerSideEncryptionConfiguration": KMS, "ClientRequestToken": uuid.uuid4().hex}
    one, other = served.client("chime-sdk-voice"), client(served, make_key(), "chime-sdk-voice")
    made = [each.create_voice_profile_domain(**wanted)["VoiceProfileDomain"] for each in (one, other)]
    assert made[0] == made[1]
    with pytest.raises(other.exceptions.ConflictException):
        other.create_voice_profile_domain(**{**wanted, "Name": "other"})


def test_a_disabled_key_opens_nothing_and_a_rotated_one_goes_on_for_a_while(
    served: Any, make_key: Any, carillon: Any
) -> None:
    first = make_key()
    folder = ("--data-dir", str(served.data_dir))
    second = json.loads(carillon("keys", "rotate", first["access_key_id"], "--json", *folder).stdout)
    assert second["name"] == first["name"]
    video_first, video_second = (client(served, key, "kinesisvideo") for key in (first, second))
    eventually("", video_second.list_streams)
    video_first.list_streams()
    carillon("keys", "disable", first["access_key_id"], *folder)
    eventually("UnrecognizedClientException", video_first.list_streams)
    third = json.loads(
        carillon("keys", "rotate", second["access_key_id"], "--grace-minutes", "0", "--json", *folder).stdout
    )
    eventually("ExpiredTokenException", video_second.list_streams)
    client(served, third, "kinesisvideo").list_streams()


def test_a_temporary_key_works_with_its_token_only(served: Any, make_key: Any) -> None:
    key = make_key(hours="1")
    assert client(served, key, "kinesisvideo").list_streams()
    for token in (None, "another"):
        without = client(served, {**key, "session_token": token}, "kinesisvideo")
        assert code(without.list_streams) == "UnrecognizedClientException"


def test_secrets_are_shown_once_and_the_file_stays_private(served: Any, make_key: Any, carillon: Any) -> None:
    made = make_key(hours="1")
    path = served.data_dir / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(served.data_dir.glob(".credentials*"))
    for listed in (
        carillon("keys", "list", "--json", "--data-dir", str(served.data_dir)).stdout,
        carillon("keys", "list", "--data-dir", str(served.data_dir), COLUMNS="200").stdout,
    ):
        assert made["access_key_id"] in listed
        assert made["secret_access_key"] not in listed
        assert made["session_token"] not in listed


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}, "Condition is not evaluated"),
        ({"Effect": "Allow", "Action": "GetMedia", "Resource": "*"}, "is no action"),
    ],
)
def test_a_policy_that_would_not_be_heeded_makes_no_key(
    carillon: Any, tmp_path: Path, statement: dict[str, Any], message: str
) -> None:
    (tmp_path / "policy.json").write_text(json.dumps({"Statement": statement}))
    arguments = ("--name", "x", "--policy", str(tmp_path / "policy.json"), "--data-dir", str(tmp_path / "data"))
    done = carillon("keys", "create", *arguments, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "data" / "credentials.json").exists()


def test_a_key_that_does_not_exist_is_named(carillon: Any, tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path))
    carillon("keys", "create", "--name", "somebody", *folder)
    done = carillon("keys", "disable", "CRLNNOBODY", *folder, check=False)
    assert done.returncode == 1
    assert "CRLNNOBODY" in done.stderr


def test_what_is_done_to_keys_is_written_down(carillon: Any, tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path))
    made = json.loads(carillon("keys", "create", "--name", "one", "--json", *folder).stdout)
    fresh = json.loads(carillon("keys", "rotate", made["access_key_id"], "--json", *folder).stdout)
    carillon("keys", "disable", made["access_key_id"], *folder)
    carillon("keys", "disable", "CRLNNOBODY", *folder, check=False)
    carillon("keys", "list", *folder)
    printed = carillon("audit", "--json", *folder).stdout
    assert [(row["action"], row["access_key_id"]) for row in map(json.loads, printed.splitlines())] == [
        ("carillon:CreateAccessKey", made["access_key_id"]),
        ("carillon:CreateAccessKey", fresh["access_key_id"]),
        ("carillon:RotateAccessKey", made["access_key_id"]),
        ("carillon:DisableAccessKey", made["access_key_id"]),
    ]
    assert {row["source"] for row in map(json.loads, printed.splitlines())} == {"cli"}
    assert not any(key["secret_access_key"] in printed for key in (made, fresh))
    shown = carillon("audit", "--action", "rotate", *folder).stdout
    assert f"carillon:RotateAccessKey access-key/{made['access_key_id']}" in shown


def test_without_an_audit_trail_nothing_is_written_down(carillon: Any, tmp_path: Path) -> None:
    off = {"CARILLON_AUDIT_IS_ON": "false"}
    carillon("keys", "create", "--name", "one", "--data-dir", str(tmp_path), **off)
    assert carillon("audit", "--data-dir", str(tmp_path), **off).stdout == ""
