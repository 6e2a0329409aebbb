"""Names of what SOPS has encrypted: what the session has stands in for what only Flux can name."""

from __future__ import annotations

import base64

import pytest

from gitops_run.model.objects.identity import parse_document
from gitops_run.model.objects.sops import holds_ciphertext
from gitops_run.model.objects.sops_names import Decrypted, as_decrypted

CIPHERTEXT = base64.b64encode(b"ENC[AES256_GCM,data:x,type:str]").decode()
NEW, LIVE = "app-2456789bcd", "app-fghkmt2456"


def manifest(kind: str, name: str, *lines: str) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: ns}}\n{body}"


SECRET = manifest("Secret", NEW, "data:", f"  k: {CIPHERTEXT}")
POD = manifest("Pod", "web", f"spec: {{volumes: [{{name: s, secret: {{secretName: {NEW}}}}}]}}")


def decrypted(*texts: str, inventory: tuple[str, ...] = ()) -> Decrypted:
    return as_decrypted(tuple(one for text in texts for one in parse_document(text)), inventory, ())


def test_the_object_in_the_session_stands_in_for_an_encrypted_one_and_where_it_is_named() -> None:
    found = decrypted(SECRET, POD, inventory=(f"ns_{LIVE}__Secret", "ns_web__Pod"))
    secret, pod = found.objects
    assert secret.ref.name == secret.body["metadata"]["name"] == LIVE
    assert pod.body["spec"]["volumes"][0]["secret"]["secretName"] == LIVE
    assert list(found.hidden) == [secret.ref]
    assert "it references Secret app, which is encrypted" in found.naming[pod.ref]


def test_a_name_that_the_session_lacks_stays() -> None:
    found = decrypted(SECRET, POD)
    assert [item.ref.name for item in found.objects] == [NEW, "web"]
    assert list(found.naming) == [found.objects[1].ref]


def test_a_name_that_the_session_has_is_flux_s_own() -> None:
    found = decrypted(SECRET, inventory=(f"ns_{NEW}__Secret", f"ns_{LIVE}__Secret"))
    assert [item.ref.name for item in found.objects] == [NEW]
    assert list(found.hidden.values()) == ["it is encrypted"]


def test_two_encrypted_objects_have_two_stand_ins() -> None:
    other = SECRET.replace("app-", "other-")
    found = decrypted(
        SECRET, other, inventory=(f"ns_{LIVE.replace('app', 'other')}__Secret", f"ns_{LIVE}__Secret")
    )
    assert [item.ref.name for item in found.objects] == [LIVE, LIVE.replace("app", "other")]


def test_a_patch_that_is_encrypted_makes_the_name_of_a_generated_object_unknown() -> None:
    patched = manifest("ConfigMap", NEW, "data: {k: 'ENC[x]'}", "sops: {mac: m}")
    found = decrypted(patched, inventory=(f"ns_{LIVE}__ConfigMap",))
    assert found.objects[0].ref.name == LIVE


@pytest.mark.parametrize(
    "value",
    ["ENC[AES256_GCM,data:x]", ' {\n"mac": "ENC[x"}', "A=b\nsops_mac=ENC[x", "[a]\n[sops]\n", "mac: ENC[x"],
)
def test_each_format_of_sops_is_known_in_a_secret_s_value(value: str) -> None:
    body = {"kind": "Secret", "data": {"k": base64.b64encode(value.encode()).decode()}}
    assert holds_ciphertext(body)
    assert not holds_ciphertext({**body, "kind": "ConfigMap"})


@pytest.mark.parametrize("value", ["cGxhaW4=", "no base64!", None, 5])
def test_other_values_are_no_ciphertext(value: object) -> None:
    assert not holds_ciphertext({"kind": "Secret", "data": {"k": value}})
