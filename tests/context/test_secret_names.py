"""Which names are those of secrets, and which only look so."""

from __future__ import annotations

import pytest

from lsp_server.context.secret_names import is_secret

SECRETS = """
.env .env.local .env.production .env~ .env.bak .env.old .ENV .Env.Local .envrc .envrc.bak .env-prod .env_backup .env2
.env.swp .env.swo .#.env #.env# prod.env PROD.ENV .env/x.py .env.example.key .env::$DATA .env. server.pem server.KEY
tls.key.bak store.p12 store.pfx app.jks my.kdbx my.ppk a.asc a.gpg sub/dir/master.key release.keystore id_rsa
id_rsa.old id_ed25519_work ID_RSA id_ecdsa_sk github_rsa deploy_ed25519 ssh_host_rsa_key id_rsa~ id_rsa.bak1 .netrc
_netrc .pgpass .npmrc .pypirc .htpasswd .git-credentials .dockercfg .my.cnf .s3cfg .vault-token .bash_history
.docker/config.json .git/config .config/gh/hosts.yml .m2/settings.xml home/.cargo/credentials.toml .gem/credentials
credentials credentials.json Credentials.json CREDENTIALS.JSON credentials.toml credentials.ini credentials.csv
secrets.json secrets.toml secrets.yaml secrets.yml secrets.ini secrets.yml~ .secrets.yml.swp #secrets.yml#
.#secrets.yml secrets.prod.yml app-secrets.json k8s/secret.yaml my.secrets a.secret secrets.yaml.enc
credentials.yml.enc terraform.tfvars terraform.tfvars.json prod.auto.tfvars terraform.tfstate terraform.tfstate.backup
service-account.json service_account.json serviceAccountKey.json my-service-account-key.json key.json
x-firebase-adminsdk-1a2b.json client_secret_123.apps.googleusercontent.com.json application_default_credentials.json
kubeconfig kubeconfig.yaml prod.kubeconfig .kube/config .kube/cache/x.json .ssh/config .SSH/known .aws/credentials
.aws/sso/a.py secrets/db.yml secrets/prod/db.json Secrets/db.yml config/secrets/api config/credentials/production.yml
private_keys/a.txt passwords.txt password.txt db_password.txt passwords.csv passwords.kdbx api_key.txt apikey.txt
api-keys.json ApiKeys.json accessKeys.csv rootkey.pem access_token.txt auth.json token.json secrets.sql credentials.db
secrets.tar.gz wp-config.php .dev.vars secrets.json.orig secrets(1).json secrets.json.1 passwd .ssh.bak/config
a\\b\\.env
"""
ORDINARY = """
main.py environment.py environment.ts secrets.py credentials.ts token.go key.rs keys.ts env.py dotenv.js .env.example
.env.sample .env.template .env.dist .env.defaults .env.local.example example.env secrets.example.yaml
terraform.tfvars.example id_rsa.pub id_ed25519.pub secret_santa.py password.py passwords.go credential.java Token.kt
tokenizer.json tokens.json tokenizer_config.json package.json keyboard.json monkey.json secretary.txt secrets.md
SECRETS.rst secrets/manager.py secrets/__init__.py credentials/store.go src/secrets/README.md
packages/secrets/package.json secrets/Makefile secrets.py.bak .secrets.py.swp #credentials.ts# token.go~ crypto_rsa.py
test_ecdsa.c rsa.rs reset_password.txt templates/forgot_password.txt rotate-all-secrets .envoy/config.yaml
.environment .gitignore .github/workflows/ci.yml config.json settings.json hosts.yml Dockerfile Makefile account.json
service.yaml client.json access.log private.py public_key.py api.json keys.md author.json authors.txt .editorconfig
gcloud/deploy.py id_card.py idea.md compass.json
"""


@pytest.mark.parametrize("name", SECRETS.split())
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)
    assert is_secret(f"/home/user/work/{name}")


@pytest.mark.parametrize("name", ORDINARY.split())
def test_names_that_are_not(name: str) -> None:
    assert not is_secret(name)
    assert not is_secret(f"/home/user/work/{name}")


@pytest.mark.parametrize("name", [".env copy", "secrets copy 2.json", "Copy of secrets.json", "secrets (1).json"])
def test_copies_with_spaces(name: str) -> None:
    assert is_secret(name)


def test_a_long_name_takes_no_time() -> None:
    assert not is_secret("a.1~" * 2000 + "x.py")
