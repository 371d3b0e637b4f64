#!/usr/bin/env bash
# moto: SendEmail of SES v2 accepts a sender whose identity GetEmailIdentity calls not verified, for ever.
#
# Guess before the run: both calls agree, in one way or the other: an identity that was just made is verified and may
#   send, or is not verified and may not.
# Behaviour: without an identity SendEmail is rejected. After CreateEmailIdentity it is accepted, and GetEmailIdentity
#   answers VerifiedForSendingStatus false, also after VerifyDomainIdentity of SES v1. A check that asks before it sends
#   refuses what would have been accepted.
# Versions: moto 5.2.5, boto3 1.43.117, Python 3.11.
# Output seen:
#   without an identity: SendEmail MessageRejected
#   after CreateEmailIdentity: SendEmail accepted, verified False
#   after VerifyDomainIdentity: SendEmail accepted, verified False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'moto[ses]==5.2.5' boto3==1.43.117 botocore==1.43.117 2>/dev/null
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
"$folder/venv/bin/python" - <<'PY'
import sys

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

MESSAGE = {"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "y"}}}}


def send(v2):
    try:
        v2.send_email(
            FromEmailAddress="a@acme.example", Destination={"ToAddresses": ["b@acme.example"]}, Content=MESSAGE
        )
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "accepted"


def ask(v2):
    return send(v2), v2.get_email_identity(EmailIdentity="acme.example")["VerifiedForSendingStatus"]


with mock_aws():
    v1, v2 = boto3.client("ses"), boto3.client("sesv2")
    without = send(v2)
    print(f"without an identity: SendEmail {without}")
    v2.create_email_identity(EmailIdentity="acme.example")
    made = ask(v2)
    print("after CreateEmailIdentity: SendEmail {}, verified {}".format(*made))
    v1.verify_domain_identity(Domain="acme.example")
    verified = ask(v2)
    print("after VerifyDomainIdentity: SendEmail {}, verified {}".format(*verified))
same = without == "MessageRejected" and made == verified == ("accepted", False)
sys.exit(0 if same else 1)
PY
