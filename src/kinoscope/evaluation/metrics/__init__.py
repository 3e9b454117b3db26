"""Pure metrics: scores in, one value a query out, and how sure their mean is.

A mean, an interval and a paired test are all computed from the same numbers. A tie counts against
the query, and a score that is not finite is an error.
"""

from kinoscope.evaluation.metrics.association import auroc as auroc
from kinoscope.evaluation.metrics.association import auroc_of_pairs as auroc_of_pairs
from kinoscope.evaluation.metrics.association import spearman as spearman
from kinoscope.evaluation.metrics.intervals import mean_with_interval as mean_with_interval
from kinoscope.evaluation.metrics.intervals import median_with_interval as median_with_interval
from kinoscope.evaluation.metrics.ranking import average_precisions as average_precisions
from kinoscope.evaluation.metrics.ranking import best_of_groups as best_of_groups
from kinoscope.evaluation.metrics.ranking import chance_recall as chance_recall
from kinoscope.evaluation.metrics.ranking import ranks as ranks
from kinoscope.evaluation.metrics.ranking import ranks_of_each as ranks_of_each
from kinoscope.evaluation.metrics.ranking import recall_at as recall_at
from kinoscope.evaluation.metrics.ranking import tied as tied
from kinoscope.evaluation.metrics.reliability import calibration_error as calibration_error
from kinoscope.evaluation.metrics.reliability import reliability as reliability
from kinoscope.evaluation.metrics.significance import PerQuery as PerQuery
from kinoscope.evaluation.metrics.significance import compared as compared
from kinoscope.evaluation.metrics.significance import paired_p_value as paired_p_value
