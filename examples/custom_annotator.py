"""An annotator of your own: rules that look for words. They label messages to a shop, and a student learns the labels.

Usage: python examples/custom_annotator.py
"""

import re
from importlib.resources import files

from freeal_hf import Annotation, Annotator, DataConfig, FreeAL, FreeALConfig, LoopConfig, load_task

RULES = {
    "delivery": r"parcel|courier|tracking|deliver|shipping|arrive|on its way",
    "return_refund": r"return|refund|swap|exchange|cancel|send .* back",
    "product_question": r"is there|does (it|the)|is the|how (big|long|many)|in stock|which size",
    "damaged_or_wrong_item": r"broke|crack|damage|missing|wrong (item|colou?r|size)|does ?n.t work|defect",
    "payment": r"charge|paid|pay|invoice|card|voucher|discount|code",
    "account": r"password|log ?in|account|newsletter|e-?mail|profile",
}


class RuleAnnotator(Annotator):
    """Gives a text the label of the only rule that matches, and no label if none or several match."""

    batch_size = 100  # texts in one call of `annotate`

    async def annotate(self, task, requests):
        return [self.label(task, request.text) for request in requests]

    def label(self, task, text):
        found = [name for name, rule in RULES.items() if re.search(rule, text, re.IGNORECASE)]
        if len(found) == 1:
            return Annotation(task.label2id[found[0]])
        return Annotation(-1, reason=f"{len(found)} rules match")


demo = files("freeal_hf.demo")
loop = FreeAL(
    load_task(str(demo / "task.yaml")),
    RuleAnnotator(),
    student="sentence-transformers/all-MiniLM-L6-v2",
    args=FreeALConfig(output_dir="runs/rules", num_train_epochs=4),
    loop=LoopConfig(num_rounds=1),
    data=DataConfig(str(demo / "shop_messages_test.csv"), gold_column="gold"),  # gold is only used for scores
)
result = loop.run()

labels = result.dataset.to_pandas()
by_rules = (labels["annotator_label"] >= 0).sum()
print(result)
print(f"The rules label {by_rules} of {len(labels)} messages, and the student labels all of them.")
