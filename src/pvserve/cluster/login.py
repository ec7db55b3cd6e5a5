"""Who we are to which API server: from a kubeconfig, from a pod's own account, or from a ready client.

Owns the order in which these are looked for and the only use of the `kubernetes` package; that package reads every
form of kubeconfig that was tried (the tests name ten), and its flaws are mended here. Sends nothing to the cluster.
"""

from __future__ import annotations

import logging
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pvserve.cluster.failures import not_logged_in
from pvserve.cluster.proxy import SOCKS, environment_proxy
from pvserve.errors import NotAllowed, PvserveError, UsageError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Login:
    """All that a connection needs. `tls` is None for http://, `proxy` empty for none."""

    server: str
    namespace: str
    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | None
    server_name: str = ""  # of the certificate, where it is not the host's name
    proxy: str = ""


LoggingIn = Callable[[], Login]  # called again after a 401: runs login plugins and reads token files again


def logging_in(kubeconfig: str | None, context: str | None, as_user: str | None, api_client: Any) -> LoggingIn:
    """How to log in: `api_client` (a kubernetes.client.ApiClient), else the file `kubeconfig`, $KUBECONFIG,
    ~/.kube/config, the pod's own account, in this order."""

    def log_in() -> Login:
        if api_client is not None:
            login = _from_client(api_client)
        else:
            files = _kubeconfig(kubeconfig, os.environ)
            login = _from_kubeconfig(files, context) if files else _from_pod(context)
        impersonated = {} if as_user is None else {"Impersonate-User": as_user}
        return _checked(replace(login, headers={**login.headers, **impersonated}))

    return log_in


def _checked(login: Login) -> Login:
    """With the proxy of the environment. Finds here what would fail later in words that quote a token or password."""
    _check_address("server", login.server, ("https", "http"))
    if urlsplit(login.server).username is not None:
        raise UsageError(
            "ServerInvalid",
            "the address of the API server carries a user name",
            remedy=("kubectl config set-credentials USER --username=NAME --password=…",),
        )
    for name, value in login.headers.items():
        if not (value.isascii() and value.isprintable()):
            words = f"the credentials cannot be sent: {name} holds characters that no HTTP header may have"
            raise UsageError("CredentialsInvalid", words, remedy=("renew the token that the kubeconfig names",))
    proxy = login.proxy or environment_proxy(login.server, os.environ)
    if proxy:
        _check_address("proxy", proxy, ("http", "https", *SOCKS))
    return replace(login, proxy=proxy)


def _check_address(what: str, address: str, schemes: Sequence[str]) -> None:
    """Proxies may carry a password, so an address is not quoted."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        words = f"the address of the {what} is not of the form {schemes[0]}://HOST:PORT"
        raise UsageError("ServerInvalid", words, remedy=("kubectl config view --minify",))


def _kubeconfig(flag: str | None, environ: Mapping[str, str]) -> str:
    """The kubeconfig files that exist, joined as in $KUBECONFIG; "" where there is none."""
    if flag is not None:
        if not Path(flag).expanduser().is_file():
            raise UsageError("KubeconfigMissing", f"the kubeconfig {flag} does not exist")
        return flag
    named = environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return os.pathsep.join(name for name in named.split(os.pathsep) if name and Path(name).expanduser().is_file())


def _from_kubeconfig(files: str, context: str | None) -> Login:
    """Reads the files once, logs in, and keeps no key on disk: ssl needs files only while it loads them."""
    import yaml
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, kube_config

    said = _Said()
    try:
        merger = kube_config.KubeConfigMerger(files)
        entries = _entries(merger.config, context, files)
        configuration = Configuration()
        configuration.proxy = None  # 36 and newer have put one of the environment there
        with tempfile.TemporaryDirectory(prefix="pvserve-") as directory, said.listening():
            loader = kube_config.KubeConfigLoader(
                config_dict=merger.config,
                active_context=context,
                config_base_path=None,
                config_persister=merger.save_changes,
                temp_file_path=directory,
            )
            loader.load_and_set(configuration)
            tls = _tls(configuration)
            _forget_files(kube_config, directory)
    except (ConfigException, yaml.YAMLError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(files, error) from error
    token = _token(configuration)
    if "exec" in entries.user and not token and not configuration.cert_file:
        command = entries.user["exec"].get("command", "")
        words = f"the login command {command} that the kubeconfig names gave no credentials"
        raise not_logged_in(words, configuration.host, detail="\n".join(said.lines))
    return Login(
        server=configuration.host.rstrip("/"),
        namespace=str(entries.context.get("namespace") or "default"),
        headers=_headers(token, _impersonation(entries.user)),
        tls=tls,
        server_name=str(entries.cluster.get("tls-server-name") or ""),
        proxy=str(entries.cluster.get("proxy-url") or ""),
    )


@dataclass(frozen=True)
class _Entries:
    """The three entries of a kubeconfig that the context names."""

    context: Mapping[str, Any]
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]


def _entries(merged: Any, context: str | None, files: str) -> _Entries:
    def entry(kind: str, name: str) -> Mapping[str, Any]:
        for node in merged.safe_get(f"{kind}s") or ():
            if node.value.get("name") == name:
                found = node.value.get(kind) or {}
                if not isinstance(found, Mapping):
                    raise TypeError(f"{kind} {name} is no mapping")
                return found
        return {}

    wanted = context or (merged.safe_get("current-context") if merged is not None else "")
    names = [str(node.value.get("name")) for node in merged.safe_get("contexts") or ()] if merged is not None else []
    if wanted not in names:
        words = f"the kubeconfig {files} has no context {wanted!r}" if wanted else f"{files} names no current context"
        remedy = (f"--context, one of: {', '.join(sorted(names)) or 'none is there'}", "kubectl config get-contexts")
        raise UsageError("NoSuchContext", words, remedy=remedy)
    found = entry("context", wanted)
    return _Entries(found, entry("cluster", found.get("cluster", "")), entry("user", found.get("user", "")))


def _impersonation(user: Mapping[str, Any]) -> dict[str, str]:
    """`as` of a kubeconfig, which the kubernetes package does not read: to ignore it would mean to act with more
    rights than the user asked for."""
    if user.get("as-groups") or user.get("as-user-extra") or user.get("as-uid"):
        raise UsageError(
            "ImpersonationNotSupported",
            "the kubeconfig impersonates groups, a uid or extra fields; pvserve can only impersonate a user",
            remedy=("choose another context with --context",),
        )
    return {"Impersonate-User": str(user["as"])} if user.get("as") else {}


def _forget_files(kube_config: Any, directory: str) -> None:
    """The package remembers its temporary files by content; ours are about to go."""
    remembered: dict[str, str] = getattr(kube_config, "_temp_files", {})
    for content, path in list(remembered.items()):
        if Path(path).parent == Path(directory):
            del remembered[content]


def _unreadable(files: str, error: Exception) -> PvserveError:
    if isinstance(error, PermissionError):
        return UsageError("KubeconfigUnreadable", f"{error.filename or files}: permission denied")
    return UsageError(
        "KubeconfigInvalid", f"the kubeconfig {files} cannot be used: {error}", remedy=("kubectl config view",)
    )


def _from_pod(context: str | None) -> Login:
    """The account of the pod that we run in."""
    if context is not None:
        raise UsageError("NoSuchContext", f"there is no kubeconfig, so no context {context!r}")
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    configuration = Configuration()
    configuration.proxy = None
    try:
        InClusterConfigLoader(
            token_filename=str(SERVICE_ACCOUNT / "token"), cert_filename=str(SERVICE_ACCOUNT / "ca.crt")
        ).load_and_set(configuration)
    except (ConfigException, OSError) as error:
        raise NotAllowed(
            "NotLoggedIn",
            "there is no kubeconfig, and this is no pod with an account",
            remedy=("oc login SERVER", "or: export KUBECONFIG=FILE"),
            detail=str(error),
        ) from error
    namespace = SERVICE_ACCOUNT / "namespace"
    return Login(
        server=configuration.host,
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
        headers=_headers(_token(configuration), {}),
        tls=_tls(configuration),
    )


def _from_client(client: Any) -> Login:
    """A client that somebody else logged in, as kube_authkit and codeflare-sdk hand out."""
    configuration = client.configuration
    return Login(
        server=configuration.host.rstrip("/"),
        namespace="default",
        headers=_headers(_token(configuration), dict(client.default_headers)),
        tls=_tls(configuration),
        server_name=configuration.tls_server_name or "",
        proxy=configuration.proxy or "",
    )


def _token(configuration: Any) -> str:
    """The Authorization header; asking for it renews a token that has a known end."""
    setting: Mapping[str, Any] = configuration.auth_settings().get("BearerToken") or {}
    return str(setting.get("value") or "").strip()


def _headers(token: str, more: Mapping[str, str]) -> dict[str, str]:
    headers = {key: str(value) for key, value in more.items() if key.lower() not in ("user-agent", "content-type")}
    return {"Authorization": token, **headers} if token else headers


def _tls(configuration: Any) -> ssl.SSLContext | None:
    """The machine's own authorities unless the kubeconfig names one, and no stricter than Go's TLS in kubectl:
    clusters have authorities without key identifiers (kubernetes-client/python#2394) and trust in intermediates."""
    if not configuration.host.startswith("https:"):
        return None
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        # The password keeps OpenSSL from asking for one on the terminal; kubectl takes no encrypted keys either.
        tls.load_cert_chain(configuration.cert_file, configuration.key_file or None, password="")
    return tls


class _Said(logging.Handler):
    """What the kubernetes package only logs: why a login command failed."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, messages come here."""
        logging.getLogger().addHandler(self)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(self)
