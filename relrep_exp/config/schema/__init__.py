"""The shape of a configuration: every key, its type and its range. conf/ holds the values."""
# ruff: noqa: F403  # every class of settings is public here, whichever of the files has it

from relrep_exp.config.schema.aligner import *
from relrep_exp.config.schema.aligner import ALIGNERS
from relrep_exp.config.schema.data import *
from relrep_exp.config.schema.data import DATA
from relrep_exp.config.schema.experiment import *
from relrep_exp.config.schema.parallel import *
from relrep_exp.config.schema.parallel import PARALLEL
from relrep_exp.config.schema.run import *
from relrep_exp.config.schema.run import ANCHORS, DECODERS, TASKS
from relrep_exp.config.schema.types import ScalingName as ScalingName
from relrep_exp.config.schema.zoo import *
from relrep_exp.config.schema.zoos import *
from relrep_exp.config.schema.zoos import ZOOS

# Group of the configuration -> its kinds
GROUPS = {
    "task": TASKS,
    "data": DATA,
    "parallel": PARALLEL,
    "zoo": ZOOS,
    "aligner": ALIGNERS,
    "anchors": ANCHORS,
    "decoder": DECODERS,
}
