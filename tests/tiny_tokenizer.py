"""A byte-level tokenizer of four hundred tokens and the chat templates of each family.

Every byte has a token, so no text is unknown; common short pieces are merged, so a real word is
several tokens. What a family calls special is a special token here too: the pieces would otherwise
be merged across `<|image_pad|>`.
"""

from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from kinoscope import libraries

ORDINARY_TOKENS = 400  # fewer than the sample has pieces, so that its words stay in pieces too
SAMPLE = """
a fox runs in the snow and the snow falls on the ground. the door opens, then the door closes.
a person walks into the room and puts a cup on the table. two dogs play with a ball near the water.
describe the video in one word: what happens first and what happens after that? 0 1 2 3 4 5 6 7 8 9
a red car drives along the street; someone opens the window and looks outside at the mountains.
the cook cuts an onion, pours oil into the pan and stirs. You are a helpful assistant. Summarize.
User: is there a cat in this image? Assistant: seconds Frame minutes retrieve relevant moment not
"""

QWEN_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

_QWEN_CONTENT = (
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endif %}"
)
_QWEN_COUNTS = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
)
_CHATML_END = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

QWEN2_VL_CHAT = (
    f"{_QWEN_COUNTS}{{% for message in messages %}}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    f"{_QWEN_CONTENT}{{% endfor %}}{_CHATML_END}"
)
QWEN3_VL_CHAT = (
    f"{_QWEN_COUNTS}{{% for message in messages %}}<|im_start|>{{{{ message['role'] }}}}\n"
    f"{_QWEN_CONTENT}{{% endfor %}}{_CHATML_END}"
)


# Only the question about a picture: the processor has its own template where there is a video.
SMOLVLM_CHAT = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
SMOLVLM_SPECIAL = (
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)

LLAVA_CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}"
    "{{ '<video>' }}{% endfor %}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}{% else %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ '\n' + content['text'] }}{% endgeneration %}{% endfor %}{% endif %}"
    "{{'<|im_end|>'}}{% endfor %}"
    f"{_CHATML_END}"
)

INTERNVL_CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif content['type'] == 'video' %}{{ '<video>\n' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{'<|im_end|>\n'}}{% endfor %}"
    f"{_CHATML_END}"
)
INTERNVL_NAMED = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}


@cache
def _pieces() -> str:
    """The trained model as JSON: 256 bytes and the most frequent merges of `SAMPLE`."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=ORDINARY_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(SAMPLE.splitlines(), trainer)
    return made.to_str()


def tokenizer(special: tuple[str, ...], **roles: Any) -> Any:
    """A `PreTrainedTokenizerFast` with `special` after the ordinary tokens, and `roles` given."""
    fast = libraries.transformers().PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_pieces()), model_max_length=32768, **roles
    )
    fast.add_special_tokens({"additional_special_tokens": list(special)})
    return fast
