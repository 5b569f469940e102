"""LangChain's ChatOpenAI on a gateway. Checks what it gets, and prints the receipts as JSON.

OPENAI_BASE_URL: the gateway, with /v1. OPENAI_API_KEY: one of its keys.
"""

import json
import os

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI


def main():
    models = openai.OpenAI(base_url=os.environ["OPENAI_BASE_URL"]).models.list()
    chat = ChatOpenAI(model=models.data[0].id, max_tokens=64, temperature=0.5)

    answer = chat.invoke("What is the capital of France?")
    assert answer.content and answer.usage_metadata["output_tokens"] > 0, answer
    ids = [answer.response_metadata["id"]]

    chunks = list(chat.stream("And of Spain?"))
    assert "".join(chunk.content for chunk in chunks), chunks
    ids += {chunk.id for chunk in chunks if chunk.id.startswith("chatcmpl-")}

    history = [
        SystemMessage("Be brief."),
        HumanMessage("What is the capital of France?"),
        AIMessage(answer.content),
        HumanMessage("And of Italy?"),
    ]
    answer = chat.invoke(history)
    assert answer.content, answer
    ids.append(answer.response_metadata["id"])

    # LangChain has OpenAI's responses as another way to the same answers.
    answer = ChatOpenAI(model=models.data[0].id, use_responses_api=True, max_tokens=64).invoke(history)
    assert answer.text, answer
    ids.append(answer.response_metadata["id"])
    print(json.dumps([name.removeprefix("chatcmpl-").removeprefix("resp_") for name in ids]))


if __name__ == "__main__":
    main()
