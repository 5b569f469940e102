"""A tour of cosmpy on a Proof of Quality chain. Prints its results as JSON.

GRPC: address of a node's gRPC server. CHAIN_ID: the chain's id. MNEMONIC: words of an account
that has a few million upoq.
"""

import json
import os
import sys
from pathlib import Path

import grpc
from cosmpy.aerial.client import LedgerClient, NetworkConfig
from cosmpy.aerial.client.utils import prepare_and_broadcast_basic_transaction
from cosmpy.aerial.exceptions import BroadcastError, InsufficientFeesError, NotFoundError
from cosmpy.aerial.tx import Transaction, TxFee
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.keypairs import PrivateKey

# The chain's messages and queries, compiled at run time from its .proto files.
sys.path.append(str(Path(__file__).resolve().parents[3] / "proto"))
tx_pb2 = grpc.protos("poq/v1/tx.proto")
query_pb2, query_pb2_grpc = grpc.protos_and_services("poq/v1/query.proto")

ADDRESS = os.environ.get("GRPC", "127.0.0.1:26659")
CONFIG = NetworkConfig(
    chain_id=os.environ.get("CHAIN_ID", "poq-local-1"),
    url=f"grpc+http://{ADDRESS}",
    fee_minimum_gas_price=0.025,
    fee_denomination="upoq",
    staking_denomination="upoq",
)


def refused(error, call):
    """Returns the error that the call must raise."""
    try:
        call()
    except error as found:
        return found
    raise AssertionError(f"expected {error.__name__}")


def tour(mnemonic):
    client = LedgerClient(CONFIG, query_interval_secs=1, query_timeout_secs=60)
    wallet = LocalWallet.from_mnemonic(mnemonic, prefix="poq")
    friend = LocalWallet(PrivateKey(), prefix="poq").address()
    me = str(wallet.address())

    # The node, accounts and balances. An account that never received coins does not exist.
    assert client.query_node_info().app_name == "poq"
    assert client.query_chain_id() == CONFIG.chain_id
    height = client.query_height()
    assert client.query_block(height).height == height
    before = client.query_account(wallet.address())
    missing = refused(grpc.RpcError, lambda: client.query_account(friend))
    assert missing.code() == grpc.StatusCode.NOT_FOUND, missing
    assert client.query_bank_all_balances(wallet.address())[0].denom == "upoq"

    # A bank send with estimated gas.
    sent = client.send_tokens(friend, 1000, "upoq", wallet, memo="hello").wait_to_complete()
    assert sent.response.events["transfer"]["recipient"] == str(friend)
    assert client.query_tx(sent.tx_hash).height == sent.response.height
    assert client.query_bank_balance(friend) == 1000
    refused(NotFoundError, lambda: client.query_tx("00" * 32))

    # A question: one of the chain's own messages, and one of its own queries.
    channel = grpc.insecure_channel(ADDRESS)
    poq = query_pb2_grpc.QueryStub(channel)
    model = poq.Models(query_pb2.QueryModelsRequest()).models[0].id
    message = tx_pb2.MsgSubmitTask(
        user=me, model=model, prompt="What is 1 + 1?", max_answer_bytes=200, max_fee=1_000_000
    )
    asked = prepare_and_broadcast_basic_transaction(
        client, Transaction().add_message(message), wallet
    ).wait_to_complete()
    task_id = int(asked.response.events["poq_task_submitted"]["task"])
    task = poq.Task(query_pb2.QueryTaskRequest(id=task_id)).task
    assert task.user == me, task
    assert client.query_account(wallet.address()).sequence == before.sequence + 2

    # An old state, in which the task does not exist yet.
    past = [("x-cosmos-block-height", str(sent.response.height))]
    request = query_pb2.QueryTaskRequest(id=task_id)
    early = refused(grpc.RpcError, lambda: poq.Task(request, metadata=past))
    assert early.code() == grpc.StatusCode.NOT_FOUND, early

    # Refusals.
    def send(amount, fee):
        return lambda: client.send_tokens(friend, amount, "upoq", wallet, fee=fee)

    refused(InsufficientFeesError, send(1, TxFee("1upoq", 200_000)))
    poor = refused(BroadcastError, send(10**17, TxFee("5000upoq", 200_000)))
    assert "smaller than" in str(poor), poor
    return {"address": me, "sent": sent.tx_hash, "task": task_id, "asked": asked.tx_hash}


if __name__ == "__main__":
    if "MNEMONIC" not in os.environ:
        sys.exit("set MNEMONIC to the words of an account that has a few million upoq")
    print(json.dumps(tour(os.environ["MNEMONIC"]), indent=2))
