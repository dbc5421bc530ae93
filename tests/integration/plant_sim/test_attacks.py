"""Who attacks the encrypting server: each is refused, and none of their writes is accepted."""

import asyncio
import contextlib
import os

import pytest
from asyncua import Client, ua

from plant_sim.opcua.methods import METHODS
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import Role
from tests.support.channels import channel

WRITABLE = [tag.path for tag in TAGS if tag.writer]
FEED = "R101/MV/InitiatorFeed/Target"
REFUSED = ua.StatusCodes.BadSecurityChecksFailed


@pytest.fixture
async def untouched(secure_plant, identity):
    """Afterwards every writable tag shows what it did before, and nobody has a lease."""
    async with secure_plant.peer("engineer", identity) as engineer:
        await engineer.put("Sim/Paused", True)  # noqa: FBT003
        before = await engineer.read(*WRITABLE, "APC/LeaseOwner", "APC/ShedReason")
    yield
    async with secure_plant.peer("engineer", identity) as engineer:
        assert await engineer.read(*WRITABLE, "APC/LeaseOwner", "APC/ShedReason") == before
        await engineer.put("Sim/Paused", False)  # noqa: FBT003


def logged_in(client, plant, user="apc", password=None):
    client.set_user(user)
    client.set_password(plant.passwords[user] if password is None else password)
    return client


async def refused(client, code):
    """Connecting ends with this status; what can still be sent afterwards does nothing either."""
    with pytest.raises(ua.UaStatusCodeError) as caught:
        async with client:
            pytest.fail("connected")
    assert caught.value.code == code


async def blind_write(client):
    """Status of a Write to the feed's target on whatever this connection has."""
    item = ua.WriteValue(NodeId=ua.NodeId(1311, 2), AttributeId=ua.AttributeIds.Value)
    item.Value = ua.DataValue(ua.Variant(2.0, ua.VariantType.Double))
    try:
        (status,) = await client.uaclient.write(ua.WriteParameters(NodesToWrite=[item]))
    except ua.UaStatusCodeError as error:
        return type(error).__name__
    except (ConnectionError, TimeoutError):
        return "closed"
    return status.name


@pytest.mark.parametrize("policy", ["Aes256Sha256RsaPss", "Basic256Sha256"])
async def test_a_trusted_client_with_the_right_password_is_let_in(secure_plant, identity, policy):
    async with logged_in(identity.client(secure_plant, policy), secure_plant) as client:
        assert "urn:trimtab:softplant" in await client.get_namespace_array()


async def test_only_signed_and_encrypted_endpoints_are_offered(secure_plant):
    endpoints = await Client(secure_plant.endpoint).connect_and_get_server_endpoints()
    assert {e.SecurityMode for e in endpoints} == {ua.MessageSecurityMode.SignAndEncrypt}
    assert {e.SecurityPolicyUri.rpartition("#")[2] for e in endpoints} == {
        "Aes256_Sha256_RsaPss",
        "Basic256Sha256",
    }
    for endpoint in endpoints:
        assert [t.TokenType for t in endpoint.UserIdentityTokens] == [ua.UserTokenType.UserName]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("password", ["admin", "", "x"])
@pytest.mark.parametrize("user", ["admin", "Admin", "apc"])
async def test_a_wrong_password_on_an_encrypted_line(secure_plant, identity, user, password):
    client = logged_in(identity.client(secure_plant), secure_plant, user, password)
    await refused(client, ua.StatusCodes.BadUserAccessDenied)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "token", [ua.AnonymousIdentityToken(), ua.ExtensionObject(), ua.X509IdentityToken()]
)
async def test_nobody_in_particular(secure_plant, identity, token):
    async with channel(identity.client(secure_plant)) as client:
        await client.create_session()
        challenge = client.security_policy.peer_certificate + client._server_nonce
        signature = client.security_policy.asymmetric_cryptography.signature(challenge)
        params = ua.ActivateSessionParameters(UserIdentityToken=token)
        params.ClientSignature.Signature = signature
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await client.uaclient.activate_session(params)
        assert caught.value.code == ua.StatusCodes.BadIdentityTokenRejected
        assert await blind_write(client) == "BadSessionNotActivated"


@pytest.mark.usefixtures("untouched")
async def test_policy_none_is_for_asking_only(secure_plant):
    client = logged_in(Client(secure_plant.endpoint, timeout=5), secure_plant)
    await refused(client, ua.StatusCodes.BadSecurityModeInsufficient)
    async with channel(Client(secure_plant.endpoint, timeout=5)) as client:
        assert len(await client.get_endpoints()) == 2
        assert await blind_write(client) == "BadSecurityModeInsufficient"


@pytest.mark.usefixtures("untouched")
async def test_a_password_in_clear_is_not_listened_to(secure_plant):
    """Neither after a session nor for one that a client makes up."""
    async with channel(Client(secure_plant.endpoint, timeout=5)) as client:
        token = ua.UserNameIdentityToken(
            PolicyId="username", UserName="apc", Password=secure_plant.passwords["apc"].encode()
        )
        with pytest.raises(ua.uaerrors.BadSecurityModeInsufficient):
            await client.uaclient.activate_session(
                ua.ActivateSessionParameters(UserIdentityToken=token)
            )
        with pytest.raises(ua.uaerrors.BadSecurityModeInsufficient):
            await client.create_session()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("mode", ["Sign", "None_"])
async def test_a_line_that_is_not_encrypted(secure_plant, identity, mode):
    client = logged_in(identity.client(secure_plant), secure_plant)
    client.security_policy.Mode = ua.MessageSecurityMode[mode]
    await refused(client, REFUSED)


@pytest.mark.usefixtures("untouched")
async def test_a_rogue_certificate_is_kept_for_the_engineer_who_may_trust_it(
    secure_plant, make_identity
):
    rogue = make_identity("urn:test:rogue")
    await refused(logged_in(rogue.client(secure_plant), secure_plant), REFUSED)
    held = [f for f in (secure_plant.pki / "rejected").iterdir() if f.read_bytes() == rogue.der]
    assert len(held) == 1
    held[0].rename(secure_plant.pki / "trusted" / held[0].name)
    async with logged_in(rogue.client(secure_plant), secure_plant):
        pass
    (secure_plant.pki / "trusted" / held[0].name).unlink()
    await refused(logged_in(rogue.client(secure_plant), secure_plant), REFUSED)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"days": (-10, -1)}, "BadCertificateTimeInvalid"),
        ({"days": (1, 10)}, "BadCertificateTimeInvalid"),
        ({"bits": 1024}, "BadCertificatePolicyCheckFailed"),
        ({"usage": False}, "BadCertificateUseNotAllowed"),
    ],
    ids=["expired", "not yet valid", "short key", "not for encryption"],
)
async def test_a_trusted_certificate_that_is_not_sound(secure_plant, make_identity, changes, code):
    unsound = make_identity("urn:test:unsound", **changes)
    secure_plant.trust(unsound)
    client = logged_in(unsound.client(secure_plant), secure_plant)
    await refused(client, getattr(ua.StatusCodes, code))


@pytest.mark.usefixtures("untouched")
async def test_another_applications_name(secure_plant, identity):
    client = logged_in(identity.client(secure_plant), secure_plant)
    client.application_uri = "urn:test:somebody:else"
    await refused(client, ua.StatusCodes.BadCertificateUriInvalid)


@pytest.mark.usefixtures("untouched")
async def test_a_trusted_certificate_without_its_key(secure_plant, identity, make_identity):
    """A certificate is public; the key is what counts."""
    thief = make_identity("urn:test:client")
    thief.certificate, thief.der = identity.certificate, identity.der
    await refused(logged_in(thief.client(secure_plant), secure_plant), REFUSED)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("shown", ["another's", "none"])
async def test_a_session_must_show_the_channels_certificate(
    secure_plant, identity, make_identity, shown
):
    other = make_identity("urn:test:other")
    secure_plant.trust(other)
    async with channel(other.client(secure_plant)) as client:
        wanted = ua.CreateSessionParameters(
            ClientDescription=ua.ApplicationDescription(ApplicationUri=identity.uri),
            ClientNonce=os.urandom(32),
            ClientCertificate=identity.der if shown == "another's" else None,
            EndpointUrl=secure_plant.endpoint,
            SessionName="x",
        )
        if shown == "none":
            with pytest.raises(ua.uaerrors.BadCertificateInvalid):
                await client.uaclient.create_session(wanted)
            return
        client._server_nonce = (await client.uaclient.create_session(wanted)).ServerNonce
        client._policy_ids = (await client.get_endpoints())[0].UserIdentityTokens
        with pytest.raises(ua.uaerrors.BadSecurityChecksFailed):
            await client.activate_session("apc", secure_plant.passwords["apc"])
        assert await blind_write(client) == "BadSessionNotActivated"


@pytest.mark.usefixtures("untouched")
async def test_a_session_cannot_be_carried_off(secure_plant, identity, make_identity):
    """Not by another trusted client, even with the session's token and its user's password."""
    other = make_identity("urn:test:other")
    secure_plant.trust(other)
    async with (
        secure_plant.peer("apc", identity) as victim,
        channel(other.client(secure_plant)) as thief,
    ):
        token = victim.client.uaclient.session.authentication_token
        assert await blind_write(thief) == "BadSessionNotActivated"
        thief.uaclient.session.restore_authentication_token(token)
        thief._server_nonce = victim.client._server_nonce
        thief._policy_ids = (await thief.get_endpoints())[0].UserIdentityTokens
        with pytest.raises(ua.uaerrors.BadSecurityChecksFailed):
            await thief.activate_session("apc", secure_plant.passwords["apc"])
        assert await blind_write(thief) == "BadSessionNotActivated"
        assert await victim.read(FEED) >= 0.0


class Sink:
    seen = 0

    def datachange_notification(self, node, value, data):  # noqa: ARG002
        self.seen += 1


@contextlib.asynccontextmanager
async def stolen_token(client, victim):
    """A channel of a client that knows the victim's token, and not the password."""
    async with channel(client):
        token = victim.client.uaclient.session.authentication_token
        client.uaclient.session.restore_authentication_token(token)
        client._server_nonce = victim.client._server_nonce
        client._policy_ids = (await client.get_endpoints())[0].UserIdentityTokens
        with pytest.raises(ua.UaStatusCodeError):
            await client.activate_session("apc", "not-the-password")
        yield client


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("trusted", [True, False], ids=["the victim's key", "another's key"])
async def test_who_is_refused_a_session_has_nothing_of_it(
    secure_plant, identity, make_identity, trusted
):
    """It is not logged in as the victim, hears no notification, and takes no lease away."""
    other = identity if trusted else make_identity("urn:test:other")
    secure_plant.trust(other)
    async with secure_plant.peer("apc", identity) as victim:
        sink = Sink()
        subscription = await victim.client.create_subscription(50, sink)
        await subscription.subscribe_data_change(
            victim.client.get_node(victim.ids["APC/HeartbeatOut"])
        )
        assert await victim.do("APC/TakeLease", "victim", 30.0) == [True]
        async with stolen_token(other.client(secure_plant), victim) as thief:
            assert await blind_write(thief) == "BadSessionNotActivated"
            heard = sink.seen
            await victim.until("APC/HeartbeatOut", lambda _: sink.seen > heard + 3)
            await thief.uaclient.close_session(delete_subscriptions=True)
        heard = sink.seen
        await victim.until("APC/HeartbeatOut", lambda _: sink.seen > heard + 3)
        assert await victim.read("APC/LeaseOwner") == "victim"
        await victim.do("APC/ReleaseLease")


@pytest.mark.usefixtures("untouched")
async def test_a_session_closes_itself_and_no_other(secure_plant, identity):
    """A CloseSession, or another activation, in the name of another session is refused."""
    async with (
        secure_plant.peer("apc", identity) as victim,
        secure_plant.peer("apc", identity) as other,
    ):
        session = other.client.uaclient.session
        own, token = session.authentication_token, victim.client.uaclient.session
        session.restore_authentication_token(token.authentication_token)
        with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
            await other.client.activate_session("apc", secure_plant.passwords["apc"])
        with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
            await other.read(FEED)
        session.restore_authentication_token(own)
        assert await victim.read(FEED) >= 0.0
        assert await other.read(FEED) >= 0.0


@pytest.mark.usefixtures("untouched")
async def test_a_made_up_token_is_no_session(secure_plant, identity):
    async with secure_plant.peer("apc", identity) as apc:
        token = apc.client.uaclient.session.authentication_token
        apc.client.uaclient.session.restore_authentication_token(ua.NodeId(os.urandom(32), 0))
        with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
            await apc.read(FEED)
        apc.client.uaclient.session.restore_authentication_token(token)
        assert await apc.read(FEED) >= 0.0


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("role", list(Role))
async def test_no_role_writes_or_calls_what_is_anothers(secure_plant, identity, role):
    foreign = [tag.path for tag in TAGS if tag.writer is not role]
    async with secure_plant.peer(role, identity) as peer:
        values = await peer.data(*foreign)
        asked = [(path, data.Value) for path, data in zip(foreign, values, strict=True)]
        assert set(await peer.write(asked)) <= {"BadUserAccessDenied", "BadNotWritable"}
        for method in METHODS:
            if role not in method.callers:
                arguments = [ua.Variant(0.0)] * len(method.inputs)
                assert (await peer.call(method.path, *arguments))[0] == "BadUserAccessDenied"


async def test_no_session_without_the_lease_drives(secure_plant, identity):
    """The tags one by one: test_attack_matrix.py."""
    async with secure_plant.peer("apc", identity) as holder:
        assert await holder.do("APC/TakeLease", "holder", 30.0) == [True]
        before = await holder.read(FEED, "APC/HeartbeatIn", "APC/Request", "APC/LeaseOwner")
        async with secure_plant.peer("apc", identity) as thief:
            asked = [(FEED, 2.5), ("APC/HeartbeatIn", 99), ("APC/Request", True)]
            assert await thief.write(asked) == ["BadUserAccessDenied"] * 3
            assert await thief.do("APC/TakeLease", "thief", 30.0) == [False]
            assert (await thief.call("APC/ReleaseLease"))[0] == "BadUserAccessDenied"
            assert (await thief.call("APC/Shed", "x"))[0] == "BadUserAccessDenied"
        after = await holder.read(FEED, "APC/HeartbeatIn", "APC/Request", "APC/LeaseOwner")
        assert after == before
        await holder.do("APC/ReleaseLease")


async def test_a_channel_is_renewed_under_way(secure_plant, identity):
    client = logged_in(identity.client(secure_plant), secure_plant)
    client.secure_channel_timeout = 800
    async with client:
        first = client.uaclient.protocol._connection.security_token.TokenId
        for _ in range(40):
            await client.get_namespace_array()
            await client.uaclient.read_attributes([ua.NodeId(1311, 2)], ua.AttributeIds.Value)
            if client.uaclient.protocol._connection.security_token.TokenId > first + 1:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("never renewed twice")


async def test_no_password_in_the_log(secure_plant):
    log = secure_plant.log.read_text()
    for password in secure_plant.passwords.values():
        assert password not in log
    assert "PRIVATE KEY" not in log
