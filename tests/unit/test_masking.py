"""Values of Secrets are taken out of text: what was learned, and what only a message's form gives away."""

from __future__ import annotations

import base64
import re
import string
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops_run.flows.judgement import InspectionSettings, Live
from gitops_run.flows.preflight import Inspector
from gitops_run.model.flux.conditions import to_applier_status, to_source_status
from gitops_run.model.flux.helm_release import to_release_status
from gitops_run.model.objects import secret_values
from gitops_run.model.objects.dry_run import Look
from gitops_run.model.objects.ownership import SessionPlace
from gitops_run.model.objects.substitution import Variables
from gitops_run.model.text.echoes import QUOTED, RAW, SAFE, without_echo, without_values
from gitops_run.model.text.masking import MASK, WHOLE_MIN, Masker
from tests.fakes import FakeSnapshot

VALUES = st.text(alphabet=string.ascii_letters + string.digits + '-_.:/@ é"\\', min_size=2).map("k9{}".format)
LONG_ENOUGH = VALUES.filter(lambda value: len(value.strip()) >= WHOLE_MIN)


def masker(*values: str) -> Masker:
    found = Masker()
    found.learn(values)
    return found


@given(value=LONG_ENOUGH, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_learned_value_is_in_no_masked_message(value: str, before: str, after: str) -> None:
    masked = masker(value).mask(f"{before}{value.strip()}{after}")
    assert value.strip() not in masked


@given(value=LONG_ENOUGH)
def test_neither_is_its_encoding_wherever_it_starts(value: str) -> None:
    plain = value.strip()
    for shift in range(3):
        encoded = base64.b64encode(b"k=: "[: shift + 1] + plain.encode()).decode()
        assert plain.encode() not in base64.b64decode(_unmasked(masker(value).mask(f"got {encoded}")) or b"")


def _unmasked(message: str) -> bytes:
    kept = message.removeprefix("got ").replace(MASK, "").rstrip("=")
    return kept[: len(kept) // 4 * 4].encode()


@given(value=st.text(alphabet=string.ascii_letters + string.digits, min_size=12), at=st.integers(0, 5))
def test_a_piece_of_seven_letters_is_masked_too(value: str, at: int) -> None:
    piece = value[at : at + 7]
    assert piece not in masker(value).mask(f"cannot unmarshal !!str `{piece}...` into map")


@given(st.lists(VALUES, max_size=5), st.text(max_size=80))
def test_masking_twice_changes_nothing_more(values: list[str], text: str) -> None:
    found = masker(*values)
    assert found.mask(found.mask(text)) == found.mask(text)


def test_short_values_are_masked_in_quotes_alone() -> None:
    assert masker("17").mask('line 17: got "17"') == f'line 17: got "{MASK}"'


def test_words_that_a_value_shares_with_a_message_stay() -> None:
    assert masker("data-42-base").mask("no data, no base") == "no data, no base"


def test_a_secret_that_nests_without_end_is_searched_as_text() -> None:
    text = f"kind: Secret\ndata:\n  password: hunter-2\n  deep: {'[' * 100_000}\n"
    assert "hunter-2" in set(secret_values.of_files(["a.yaml"], lambda _: text))


def test_a_long_message_is_masked_in_time_by_the_length_of_what_is_known() -> None:
    """Looked for one by one, each of its pieces would take time by all that is known: minutes in all."""
    known = [f"{number:032x}" for number in range(0, 6_000_000, 1_000)]
    message = " ".join(f"{number:07d}" for number in range(3_000))
    began = time.process_time()
    masked = masker(*known).mask(f"{message} {known[77][-20:]}x")
    assert time.process_time() - began < 15
    assert known[77][-20:] not in masked


def test_values_may_be_learned_while_messages_are_masked() -> None:
    found = masker()
    with ThreadPoolExecutor(max_workers=1) as pool:
        learning = pool.submit(
            lambda: [found.learn([f"value-{n}-{m}" for m in range(50)]) for n in range(200)]
        )
        while not learning.done():
            found.mask("a message")
    assert found.mask("value-199-49") == MASK


def test_the_bytes_of_a_line_are_masked() -> None:
    assert masker().mask("line [80 65 83 83]: no") == f"line [{MASK}]: no"


def test_each_line_of_a_long_value_counts() -> None:
    assert "MIIEvQ" not in masker("-----BEGIN KEY-----\nMIIEvQIBADANB\n").mask("got MIIEvQIBADANB")


def test_a_masker_does_not_show_what_it_knows() -> None:
    assert "c4nary" not in repr(masker("c4nary-value"))


ECHOES = (
    (
        "env source files: [x.env]: line [80 65 83 83] has invalid utf8 bytes : PASS=c4nary\ufffd",
        "env source files: [x.env]: a line of it is not UTF-8",
    ),
    (
        "literal sources [c4nary]: invalid literal source c4nary, expected key=value",
        "a literal has no '='",
    ),
    ('"c4nary x" is not a valid key name: a valid name', "a key is not a valid key name: a valid name"),
    ('no match for {"apiVersion":"v1","data":{"p":"c4nary"}} here', "no match for {…} here"),
    ("bad map[data:map[p:c4nary]] here", f"bad map[{MASK}] here"),
    ("bad [99 52 110 97 114 121] here", f"bad [{MASK}] here"),
)


@pytest.mark.parametrize(("message", "left"), ECHOES)
def test_what_repeats_lines_literals_and_objects_is_taken_out(message: str, left: str) -> None:
    assert without_echo(message) == left


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        (
            '{"kind":"Secret","metadata":{"name":"t","namespace":"a"},"data":{"c4nary":1}}',
            "Secret t is defined",
        ),
        ('{"c4nary":1}', "two objects become one"),
    ],
)
def test_objects_that_become_one_are_named_and_not_written_out(objects: str, told: str) -> None:
    left = without_echo(f"namespace transformation produces ID conflict: [{objects} {objects}]")
    assert f"produces ID conflict: {told}" in left
    assert "c4nary" not in left


SAFE_PARTS = (
    "field is immutable when `immutable` is set",
    "Required value",
    ".stringData.pin: expected string",
    "illegal base64 data at input byte 4",
    "must have at most 1048576 bytes",
    'User "u" cannot patch resource "secrets" in API group "" in the namespace "run-a"',
    'secrets "web" not found',
    "exceeded quota: session",
    "is SOPS encrypted, configuring decryption is required",
    "cannot get sops data key",
    'variable not set (strict mode): "NAME"',
    "invalid ownership metadata",
    "context deadline exceeded",
    "status: 'InProgress'",
    "unchanged",
)


def test_each_row_of_the_tables_has_a_sample() -> None:
    matches = [next(n for n, row in enumerate(SAFE) if re.search(row, part)) for part in SAFE_PARTS]
    assert matches == list(range(len(SAFE)))
    assert [next(n for n, (row, _) in enumerate(RAW) if re.search(row, text)) for text, _ in ECHOES] == list(
        range(len(RAW))
    )
    assert {n for n, (row, _) in enumerate(QUOTED) for text in REPEATED if re.search(row, text)} == set(
        range(len(QUOTED))
    )


@pytest.mark.parametrize("part", SAFE_PARTS)
def test_what_can_not_hold_a_value_stays_of_a_message_about_a_secret(part: str) -> None:
    assert without_values(f"Secret/run-a/web dry-run failed: 735182 {part}").endswith(f"failed: {part}")


def test_a_line_without_an_equals_sign_is_a_key_to_kustomize_and_a_value_to_us() -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "data": {"c4nary": "", "two words": "YQ==", "key": "YQ=="}}
    assert {"c4nary", "two words", "a"} <= set(secret_values.of_object(body))
    assert "key" not in set(secret_values.of_object(body))


OF_FLUX = (
    (
        (
            "Secret/run-a/pin dry-run failed: failed to create typed patch object (run-a/pin;"
            " /v1, Kind=Secret): .stringData.pin: expected string, got &value.valueUnstructured{Value:735182}"
        ),
        "Secret/run-a/pin dry-run failed: ",
    ),
    (
        (
            'Secret/run-a/pin dry-run failed (Invalid): Secret "pin" is invalid: data[735182]: Invalid '
            'value: "735182": a valid config key must consist of alphanumeric characters'
        ),
        "Secret/run-a/pin dry-run failed (Invalid): ",
    ),
    (
        (
            'Secret/run-a/pin dry-run failed (Forbidden): secrets "pin" is forbidden: User "u" cannot patch '
            'resource "secrets" in API group "" in the namespace "run-a" 735182'
        ),
        (
            'Secret/run-a/pin dry-run failed (Forbidden): User "u" cannot patch resource "secrets" in API '
            'group "" in the namespace "run-a"'
        ),
    ),
    (
        "post build failed for 'Secret.v1.[noGrp]/pin.run-a': envsubst error: 735182 is odd",
        "post build failed for 'Secret.v1.[noGrp]/pin.run-a': ",
    ),
    (
        (
            'Helm upgrade failed for release a/b with chart c: cannot patch "pin" with kind Secret: '
            "Secret 'pin' in version v1 cannot be handled: illegal base64 data at input byte 4 735182"
        ),
        "illegal base64 data at input byte 4",
    ),
    ("the moon reads Secret/run-a/pin as 735182", "the moon reads Secret/run-a/pin"),
    ("Secret in version v1 cannot be handled as a Secret: 735182", "a Secret is refused: "),
)


@pytest.mark.parametrize(("message", "kept"), OF_FLUX)
def test_a_message_of_flux_about_a_secret_holds_no_value(message: str, kept: str) -> None:
    left = without_values(message)
    assert kept in left
    assert "735182" not in left


@pytest.mark.parametrize(
    "message",
    [
        "ConfigMap/run-a/web dry-run failed: .data.x: expected string, got &value.valueUnstructured{Value:1}",
        "substitute from 'Secret/settings' error: secrets \"settings\" not found",
        "Secret/run-a/web created",
        "Applied revision: sha256:1234",
    ],
)
def test_other_messages_of_flux_keep_what_they_say(message: str) -> None:
    assert without_values(message).endswith(message[-12:])


REPEATED = (
    "ConfigMap/a/b dry-run failed: .data.x: expected string, got &value.valueUnstructured{Value:735182}",
    'ConfigMap/a/b: metadata.labels: Invalid value: "735182": a valid label must be',
    'spec.x: Unsupported value: "735182": supported values: "a"',
    "cannot unmarshal !!str `735182...` into int",
    'quantities must match, parsing "735182"',
)


@pytest.mark.parametrize("message", REPEATED)
def test_where_variables_come_from_a_secret_no_object_s_values_are_repeated(message: str) -> None:
    live = {
        "metadata": {},
        "spec": {"postBuild": {"substituteFrom": [{"kind": "Secret", "name": "v"}]}},
        "status": {"conditions": [{"type": "Ready", "status": "False", "message": message}]},
    }
    found = to_applier_status(live).message
    assert "735182" not in found
    assert found[:9] == message[:9]


def test_every_status_of_flux_is_read_without_values() -> None:
    told = {"type": "Ready", "status": "False", "message": "Secret/a/b dry-run failed: got 735182"}
    live = {"metadata": {}, "spec": {"chart": {"spec": {"chart": "c"}}}, "status": {"conditions": [told]}}
    found = (to_source_status(live), to_applier_status(live), to_release_status(live, None))
    assert ["735182" in status.message for status in found] == [False, False, False]


CHART: dict[str, str] = {
    "c/Chart.yaml": "name: c",
    "c/values.yaml": "image: nginx-1.2\nmail: {host: c4nary-host, port: 25}\ndbPassword: c4nary-db",
    "c/templates/s.yaml": "kind: Secret\nstringData: {h: {{ .Values.mail.host }} }",
}
SOURCES: tuple[tuple[str, dict[str, str], set[str]], ...] = (
    ("a Secret", {"a.yaml": "kind: Secret\nstringData: {p: c4nary}"}, {"c4nary"}),
    (
        "a member of a List",
        {"a.yaml": "kind: List\nitems: [{kind: Secret, data: {p: YzRuYXJ5}}]"},
        {"c4nary"},
    ),
    ("a literal", {"kustomization.yaml": "secretGenerator: [{literals: [p=c4nary]}]"}, {"c4nary"}),
    (
        "a file from beside",
        {"d/kustomization.yaml": "secretGenerator: [{files: [k=../x]}]", "x": "c4nary"},
        {"c4nary"},
    ),
    (
        "an env file",
        {"kustomization.yaml": "secretGenerator: [{envs: [x]}]", "x": "P=c4nary\nodd"},
        {"c4nary", "odd"},
    ),
    ("a patch", {"p.yaml": "[{op: add, path: /data/p, value: c4nary}]"}, {"c4nary"}),
    ("a half typed Secret", {"a.yaml": "kind: Secret\nstringData:\n p: c4nary\n\tq"}, {"c4nary"}),
    ("a chart", CHART, {"c4nary-host", "c4nary-db"}),
)


@pytest.mark.parametrize(("files", "values"), [row[1:] for row in SOURCES], ids=[row[0] for row in SOURCES])
def test_values_are_found_in_the_files(files: dict[str, str], values: set[str]) -> None:
    assert values <= set(secret_values.of_files(files, files.get))


def test_what_is_no_secret_is_not_learned() -> None:
    files = CHART | {"d.yaml": "kind: Deployment\nspec: {image: nginx-1.2}", "e.yaml": "data: {a: secrets}"}
    assert "nginx-1.2" not in set(secret_values.of_files(files, files.get))


@pytest.mark.parametrize(
    "text",
    [
        "kind: CustomResourceDefinition\nspec:\n  text: |-\n    names: of a Secret: any\n    or of none\n",
        "kind: Role\nrules: [secrets]\ntext: |\n  neither *is\n  this\n",
    ],
)
def test_prose_about_secrets_teaches_no_words(text: str) -> None:
    assert list(secret_values.of_files(["a.yaml"], lambda _: text)) == []


def test_aliases_are_not_followed() -> None:
    levels = "\n".join(f"l{n + 1}: &l{n + 1} [*l{n}, *l{n}, *l{n}]" for n in range(20))
    bomb = f"kind: Secret\nstringData: {{p: c4nary}}\nl0: &l0 [x]\n{levels}\nself: &self [*self]"
    assert "c4nary" in set(secret_values.of_files(["a.yaml"], {"a.yaml": bomb}.get))


def test_more_text_than_can_be_looked_through_is_refused() -> None:
    files = {"kustomization.yaml": "secretGenerator: [{envs: [x]}]", "x": "a" * secret_values.TEXT_MAX}
    with pytest.raises(secret_values.TooMuchText):
        list(secret_values.of_files(files, files.get))


class OneAnswer:
    """A cluster that has one object, and that takes what it is given."""

    def __init__(self, live: dict[str, object]) -> None:
        self.live = live

    async def look(self, objects: list[object], *, has_dry_run: bool) -> tuple[Look, ...]:
        return tuple(
            Look(live=self.live, result=item.body if has_dry_run else None)  # type: ignore[attr-defined]
            for item in objects
        )


class OneText:
    def __init__(self, text: str) -> None:
        self.text = text

    async def render(self, snapshot: object, target: str) -> str:
        del snapshot, target
        return self.text


@pytest.mark.anyio
async def test_a_value_that_a_secret_shares_with_another_object_is_masked_in_its_diff() -> None:
    live = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"url": "x://c4nary@y"},
    }
    text = yaml.safe_dump({**live, "data": {"url": "${URL}"}})
    known = Masker()
    known.learn(["c4nary"])
    settings = InspectionSettings(
        target=".",
        session=SessionPlace(name="s", namespace="run-s"),
        variables=Variables(values={"URL": "plain"}),
    )
    inspector = Inspector(OneText(text), OneAnswer(live), settings, known)  # type: ignore[arg-type]
    live_state = Live(digests={}, inventory=("_a__ConfigMap",))
    found = await inspector.inspect(FakeSnapshot({}), live_state, lambda _: None)
    [field] = found.changes[0].fields
    assert (field.before, field.after) == (f'"x://{MASK}@y"', '"plain"')


@pytest.mark.anyio
async def test_the_variables_of_a_secret_are_masked_wherever_they_occur() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {pin: '${PIN}'}\n"
    known = Masker()
    settings = InspectionSettings(
        target=".",
        session=SessionPlace(name="s", namespace="run-s"),
        variables=Variables(values={"PIN": "73518264"}),
    )
    inspector = Inspector(OneText(text), OneAnswer({}), settings, known)  # type: ignore[arg-type]
    await inspector.inspect(FakeSnapshot({}), Live(digests={}, inventory=()), lambda _: None)
    assert known.mask("got 735182, and 73518264") == f"got {MASK}, and {MASK}"
