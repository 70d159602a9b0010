"""Names of files that hold keys, passwords or tokens: the same in every project.

The name alone is looked at, for the text may be in no file yet. A name of source that has the words, such as
`secrets.py`, `credentials.ts` or `token.go`, is none of a secret: there they say what the code is about.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence


def _these(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CRYPTIC_ENDINGS = _these(
    "pem key p8 p12 pfx pkcs8 pkcs12 jks jceks bks keystore kdb kdbx ppk pvk snk asc gpg pgp age keytab jwk psafe3"
    " agilekeychain opvault 1pif 1pux enpassdb keychain keychain-db wallet ovpn mobileprovision publishsettings"
)
_PLAIN_ENDINGS = _these("env tfvars tfstate secret secrets credentials creds passwd password htpasswd kubeconfig token")
_KEY_ENDINGS = _CRYPTIC_ENDINGS | _PLAIN_ENDINGS
# Data, of which the words in a name say what it is.
_DATA_ENDINGS = _these(
    "json jsonc json5 yaml yml toml ini cfg cnf conf config txt text lst xml properties csv tsv plist db sqlite sqlite3"
    " dat data enc sops vault b64 sql dump gz zip tar tgz 7z rar doc docx xls xlsx ods odt rtf pdf edn hcl vars"
)
_NAMES = _these(
    ".netrc _netrc .authinfo .pgpass pgpass.conf .my.cnf .mylogin.cnf .npmrc .pypirc .htpasswd .htdigest .dockercfg"
    " .dockerconfigjson .git-credentials .gitcookies .s3cfg .boto .vault-token .vault_pass .vault-pass vault_pass"
    " .terraformrc terraform.rc .kubeconfig .msmtprc .fetchmailrc .esmtprc sftp-config.json sftp.json .ftpconfig"
    " .ftppass .remote-sync.json filezilla.xml sitemanager.xml recentservers.xml passwd shadow gshadow master.passwd"
    " auth.json token.json key.json keyfile.json keyfile wp-config.php .dev.vars .flaskenv .smbcredentials .rhosts"
    " .secrets .secret .credentials .lesshst .viminfo"
)
_WORDS = _these(
    "secret secrets credential credentials creds passwd passwords passphrase passphrases apikey apikeys adminsdk"
    " kubeconfig htpasswd"
)
_PAIRS = frozenset(
    f"{first} {second}{plural}"
    for first, seconds in {
        "api": "key token", "private": "key", "access": "key token", "secret": "key", "root": "key",
        "auth": "key token", "refresh": "token", "bearer": "token", "service": "account", "account": "key",
        "signing": "key", "ssh": "key", "encryption": "key", "gcp": "key", "master": "key", "vault": "pass token",
        "github": "token",
    }.items()
    for second in seconds.split()
    for plural in ("", "s")
)  # fmt: skip
# `reset_password.txt` is the text of a mail, `db_password.txt` is not.
_ABOUT_PASSWORDS = _these("reset change changed forgot forgotten update policy rules strength confirm recover request")
# What names the secrets, for others to fill in.
_EXAMPLES = _these("example examples sample samples template tmpl tpl dist skel schema")
# All that lies in one of these.
_FOLDERS = _these(
    ".aws .ssh .gnupg .kube .azure .gcloud .oci .password-store .secrets .secret .credentials .vault .terraform.d"
    " keyrings keychains .1password .chef"
)
# What lies in one of these, but for source and what any project has.
_DATA_FOLDERS = _these("secret secrets credential credentials creds passwords gcloud") | {
    f"private{between}keys" for between in ("", "_", "-")
}
_OF_PROJECTS = re.compile(
    r"(package(-lock)?|tsconfig.*|jsconfig.*|composer|deno|project|manifest)\.jsonc?|(pyproject|cargo|poetry)\.toml"
    r"|(setup|tox|mypy|pytest)\.(cfg|ini)|requirements.*\.txt|cmakelists\.txt|chart\.ya?ml|pom\.xml"
    r"|makefile|dockerfile|license|readme|codeowners|changelog|notice|build|gemfile|rakefile|justfile|procfile"
)
_IN_FOLDERS = frozenset(
    {(".docker", "config.json"), ("gh", "hosts.yml"), (".config", "hub"), (".git", "config"), (".m2", "settings.xml"),
     (".m2", "settings-security.xml"), (".gradle", "gradle.properties"), (".bundle", "config"),
     (".nuget", "nuget.config"), (".config", "op")}
)  # fmt: skip
_ENV = re.compile(r"\.env(rc|\d+)?($|[^a-z0-9])")
_SSH = re.compile(r"id_(rsa|dsa|ecdsa|ed25519|xmss)(_sk)?($|[^a-z])|.+_(rsa|dsa|ecdsa|ed25519)$|ssh_host_(\w+_)?key$")
_HISTORY = re.compile(r"\.\w+_history$")
# How editors, systems and people name a copy.
_COPIES = (
    re.compile(r"#(.+)#$"),
    re.compile(r"\.#(.+)$"),
    re.compile(r"copy of (.+)$", re.IGNORECASE),
    re.compile(r"(.+?)(~|\.~\d+~|\.s[a-w][a-z]|\.un~|\.\d+| ?\(\d+\))$", re.IGNORECASE),
    re.compile(
        r"(.+?)[ ._-]+(bak|backup|old|orig|original|saved?|copy|te?mp|prev|previous|rej|disabled|off)[ _-]?\d*$",
        re.IGNORECASE,
    ),
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def is_secret(path: str) -> bool:
    """Whether a path, with slashes of either kind, is that of a file of secrets by its name or a folder on the way."""
    parts = [part for part in re.split(r"[/\\]+", path) if part]
    folders = [part.lower() for part in parts[:-1]]
    if any(name.lower() in _FOLDERS or _ENV.match(name.lower()) for part in parts[:-1] for name in _as_copy(part)):
        return True
    return any(_says(name, folders) for part in parts[-1:] for name in _as_copy(part))


def _as_copy(part: str) -> Iterator[str]:
    """A name, and what it is a copy of if it is named like one."""
    wanted = [part.partition("::")[0].rstrip(". ") or part]  # as Windows has it, these are names of the same file
    for name in wanted:
        yield name
        inner = [found[1] for copy in _COPIES if (found := copy.match(name))]
        # The file that an editor works on in `.name.swp` may begin with a dot of its own or not.
        wanted += [each for name in inner for each in dict.fromkeys((name, name.removeprefix("."))) if each]


def _says(name: str, folders: Sequence[str]) -> bool:
    lower = name.lower()
    ending = lower.rpartition(".")[2] if "." in lower else ""
    if lower in _NAMES or (folders and (folders[-1], lower) in _IN_FOLDERS) or _HISTORY.match(lower):
        return True
    if ending in _CRYPTIC_ENDINGS or (ending != "pub" and _SSH.match(lower)):
        return True
    words = [word.lower() for word in _WORD.findall(name)]
    if _EXAMPLES & {*words} or lower in (".env.default", ".env.defaults"):
        return False
    if ending in _PLAIN_ENDINGS or _ENV.match(lower):
        return True
    if ending and ending not in _DATA_ENDINGS:
        return False
    if _DATA_FOLDERS & {*folders} and not _OF_PROJECTS.fullmatch(lower):
        return True
    if _KEY_ENDINGS & {*lower.split(".")[1:-1]}:
        return True
    if not ending and len(words) > 2:  # a script
        return False
    if "password" in words and not _ABOUT_PASSWORDS & {*words}:
        return True
    return bool(_WORDS & {*words} or _PAIRS & {" ".join(pair) for pair in itertools.pairwise(words)})
