"""The miniature's shape: a real Qwen3-VL configuration, processor and chat template, only small.

Knows no scene and no training. Token ids and the patch size come from the processor made here, once.
"""

from typing import Any

import torch
from transformers import (
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

from inference.mini.scenes import SIDE_PX
from inference.mini.vocabulary import build_tokenizer

PATCH_PX = 16
MERGE = 2
WIDTH = 128
DEEPSTACK = (1, 2)

CHAT_TEMPLATE = """\
{%- macro content(parts) -%}
{%- if parts is string -%}{{ parts }}
{%- else -%}
{%- for part in parts -%}
{%- if part.type == 'image' or 'image' in part or 'image_url' in part -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' or 'video' in part -%}
<|vision_start|><|video_pad|><|vision_end|>
{%- elif 'text' in part -%}{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- set has_system = messages and messages[0].role == 'system' -%}
{%- if tools -%}
{{ '<|im_start|>system\\n' }}
{%- if has_system -%}{{ content(messages[0].content) + '\\n\\n' }}{%- endif -%}
{{ '# Tools\\n\\nYou may call one or more functions to answer the user.\\n\\n' }}
{{- 'The functions are listed within <tools></tools>:\\n<tools>' }}
{%- for tool in tools -%}{{ '\\n' + (tool | tojson) }}{%- endfor -%}
{{ '\\n</tools>\\n\\nFor each call, return a json object with name and arguments within tool_call tags:\\n' }}
{{- '<tool_call>\\n{"name": <name>, "arguments": <arguments>}\\n</tool_call><|im_end|>\\n' }}
{%- elif has_system -%}
{{ '<|im_start|>system\\n' + content(messages[0].content) + '<|im_end|>\\n' }}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'system' and loop.first -%}
{%- elif message.role == 'tool' -%}
{{ '<|im_start|>user\\n<tool_response>\\n' + content(message.content) + '\\n</tool_response><|im_end|>\\n' }}
{%- else -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content -%}{{ content(message.content) }}{%- endif -%}
{%- for call in message.tool_calls or [] -%}
{%- set function = call.function or call -%}
{%- if not loop.first or message.content -%}{{ '\\n' }}{%- endif -%}
{{ '<tool_call>\\n{"name": "' + function.name + '", "arguments": ' }}
{{- (function.arguments if function.arguments is string else function.arguments | tojson) }}
{{- '}\\n</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""


def build_processor() -> Qwen3VLProcessor:
    """A whole Qwen3-VL processor. Any picture is brought near the size of a scene, the only one trained on."""
    size = {"shortest_edge": SIDE_PX * SIDE_PX // 4, "longest_edge": SIDE_PX * SIDE_PX}
    parts: dict[str, Any] = {"patch_size": PATCH_PX, "merge_size": MERGE, "temporal_patch_size": 2}
    half: dict[str, Any] = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    images = Qwen2VLImageProcessor(size=size, **parts, **half)
    videos = Qwen3VLVideoProcessor(**parts, **half)
    tokenizer = build_tokenizer(CHAT_TEMPLATE)
    return Qwen3VLProcessor(
        image_processor=images, tokenizer=tokenizer, video_processor=videos, chat_template=CHAT_TEMPLATE
    )


def build_config(processor: Qwen3VLProcessor) -> Qwen3VLConfig:
    """The configuration that fits this processor: 2.1 million parameters, tied embeddings, two DeepStack levels."""
    tokenizer = processor.tokenizer
    positions = (SIDE_PX // PATCH_PX) ** 2
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 3 * WIDTH,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [6, 5, 5],
            "mrope_interleaved": True,
        },
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "tie_word_embeddings": True,
    }
    vision = {
        "depth": 4,
        "hidden_size": 96,
        "intermediate_size": 384,
        "num_heads": 4,
        "patch_size": PATCH_PX,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": positions,
        "deepstack_visual_indexes": list(DEEPSTACK),
    }
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        vision_start_token_id=processor.vision_start_token_id,
        vision_end_token_id=processor.vision_end_token_id,
        tie_word_embeddings=True,
    )


def build_model(processor: Qwen3VLProcessor, *, seed: int) -> Qwen3VLForConditionalGeneration:
    """A miniature with fresh float32 weights; the same seed gives the same weights."""
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(build_config(processor)).eval()
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.do_sample = False
    return model
