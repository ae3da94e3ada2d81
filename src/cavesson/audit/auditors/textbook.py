"""What textbooks and libraries say: usual values of settings, each with its source.

These are prior knowledge, not values tuned on a bench. Pattern, usual range, default, source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for a setting.

    Attributes:
        pattern: the setting's name, in lower case.
        low: lower end of the usual range.
        high: upper end of the usual range.
        default: the value that one takes without a reason.
        source: where this is said.
    """

    pattern: re.Pattern[str]
    low: float
    high: float
    default: float
    source: str

    def off(self, value: float) -> float:
        """How many times a value lies outside the usual range; 1 within."""
        if value <= 0:
            return 1.0
        return max(1.0, self.low / value if self.low > 0 else 1.0, value / self.high if self.high > 0 else 1.0)


def _usual(pattern: str, low: float, high: float, default: float, source: str) -> Usual:
    return Usual(re.compile(pattern), low, high, default, source)


USUAL: tuple[Usual, ...] = (
    _usual(r"(^|_)lr($|_)|learning_rate|step_size|^eta0?$", 1e-4, 0.5, 0.01,
           "Bengio, Practical recommendations for gradient-based training (2012), 3.1"),
    _usual(r"momentum", 0.5, 0.99, 0.9, "Goodfellow, Bengio and Courville, Deep Learning (2016), 8.3.2"),
    _usual(r"beta_?1$|^b1$", 0.8, 0.95, 0.9, "Kingma and Ba, Adam (2015)"),
    _usual(r"beta_?2$|^b2$", 0.95, 0.9999, 0.999, "Kingma and Ba, Adam (2015)"),
    _usual(r"^eps(ilon)?$|adam_eps", 0.0, 1e-4, 1e-8, "Kingma and Ba, Adam (2015)"),
    _usual(r"weight_decay|^wd$", 0.0, 0.3, 0.01, "Loshchilov and Hutter, Decoupled weight decay regularization (2019); torch.optim.AdamW"),
    _usual(r"dropout", 0.0, 0.5, 0.0, "Srivastava et al., Dropout (2014)"),
    _usual(r"label_smooth", 0.0, 0.1, 0.0, "Szegedy et al., Rethinking the Inception architecture (2016)"),
    _usual(r"temperature", 0.5, 2.0, 1.0, "Guo et al., On calibration of modern neural networks (2017): 1 leaves a softmax as it is"),
    _usual(r"(max_|grad_?)clip|clip_?(grad|norm)|max_grad", 0.5, 100.0, 1.0, "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent networks (2013)"),
    _usual(r"batch", 8, 4096, 32, "Bengio (2012), 3.1"),
    _usual(r"(^|_)epochs?$", 3, 5000, 50, "Bengio (2012), 3.1: until a validation score stops getting better"),
    _usual(r"(^|_)(steps|iters|iterations|max_iter|updates)$", 100, 100_000, 1000, "scikit-learn, SGDClassifier: max_iter=1000"),
    _usual(r"(^|_)n?_?bins$", 5, 50, 15, "Guo et al. (2017): 15 bins"),
    _usual(r"folds?$|n_splits|^cv$", 3, 20, 5, "Kohavi, A study of cross-validation and bootstrap (1995); scikit-learn: 5"),
    _usual(r"(n_)?boot(strap)?(s|_?samples|_?reps)?$|resamples", 500, 1e6, 1000, "Efron and Tibshirani, An introduction to the bootstrap (1993)"),
    _usual(r"test_(size|frac\w*|share|split)", 0.1, 0.5, 0.25, "scikit-learn, train_test_split: 0.25"),
    _usual(r"(train|training)_(frac\w*|share|split)", 0.5, 0.95, 0.75, "scikit-learn, train_test_split: 0.75"),
    _usual(r"^n_estimators$|n_trees", 50, 5000, 100, "scikit-learn, RandomForestClassifier: 100"),
    _usual(r"^n_neighbors$|^k_neighbou?rs$", 1, 50, 5, "scikit-learn, KNeighborsClassifier: 5"),
    _usual(r"^c$", 1e-2, 100.0, 1.0, "scikit-learn, LogisticRegression and SVC: 1"),
    _usual(r"^(alpha|ridge|l2|l2_reg|reg|lambda_?|lam|penalty)$", 0.0, 10.0, 0.001, "scikit-learn, SGDClassifier: 0.0001"),
    _usual(r"^max_depth$", 2, 64, 6, "XGBoost: 6"),
    _usual(r"^(gamma|discount)$", 0.9, 0.999, 0.99, "Schulman et al., Proximal policy optimization (2017)"),
    _usual(r"clip_(eps|range|ratio)|ppo_clip", 0.1, 0.3, 0.2, "Schulman et al. (2017)"),
    _usual(r"^top_p$", 0.5, 1.0, 1.0, "Holtzman et al., The curious case of neural text degeneration (2020)"),
    _usual(r"threshold|cutoff", 0.05, 0.95, 0.5, "scikit-learn, predict: the class that is more probable than not"),
    _usual(r"patience", 3, 100, 10, "Prechelt, Early stopping: but when? (1998)"),
    _usual(r"init_(scale|std|gain)|(embedding|weight)_(scale|std)", 0.01, 2.0, 0.1, "Glorot and Bengio, Understanding the difficulty of training (2010)"),
)  # fmt: skip

FORM = re.compile(
    r"^(axis|dim|dims|axes|ndim|size|shape|n|k|ndmin|decimals|ndigits|indent|width|height|fontsize|dpi|lw|linewidth|markersize|s|zorder|rotation|"
    r"n_jobs|verbose|num_workers|maxsplit|timeout|base|start|end|step|stop|num|bins|order|fill_value|value|lr|max_norm|p|loc|scale|low|high|"
    r"in_features|out_features|hidden\w*|n_components|n_clusters|nargs|default|level|offset|total|x|y|a|b)$"
)
"""Keywords that give a call its form or its numbers: a library's default says nothing about them."""

LIBRARY = re.compile(
    r"^(shuffle|stratify|class_weight|sample_weight|C|alpha|l1_ratio|penalty|max_iter|tol|n_estimators|max_depth|min_samples_\w+|"
    r"n_neighbors|average|ddof|replace|drop_last|reduction|normalize|fit_intercept|weights|momentum|nesterov|weight_decay|betas|eps|"
    r"label_smoothing|ignore_index|max_features|subsample|learning_rate|dropout|bias|padding|warm_start|early_stopping|inplace|how|"
    r"keep|dropna|random_state|stop_words|min_df|max_df|lowercase|sublinear_tf|test_size|method|interpolation)$"
)
"""Keywords of library functions whose removal restores the library's own default, which is its authors' textbook value."""


def usual_for(name: str) -> Usual | None:
    """What is usual for a setting of this name (in lower case)."""
    return next((one for one in USUAL if one.pattern.search(name)), None)


@dataclass(frozen=True, slots=True)
class Procedure:
    """A procedure that a paper can state and code can carry out, as patterns over lower-case text and code."""

    name: str
    stated: re.Pattern[str]
    done: re.Pattern[str]


def _procedure(name: str, stated: str, done: str) -> Procedure:
    return Procedure(name, re.compile(stated), re.compile(done))


PROCEDURES: tuple[Procedure, ...] = (
    _procedure("random split", r"random(ly)? (split|partition|divid|drawn|chosen|held)|at random|shuffl|permut", r"permutation|shuffle|train_test_split|random_split|choice\(|\.sample\(|kfold"),
    _procedure("stratified split", r"stratif", r"stratif"),
    _procedure("validation set", r"validation|development set|dev set|held.?out set for", r"valid|_val\b|val_|\bdev\b|_dev\b|tune|calib"),
    _procedure("cross-validation", r"cross.?validat|-fold", r"fold|cross_val"),
    _procedure("early stopping", r"early stop|stops? (as soon|when|once|early)|until (the )?validation", r"early|patience|break\b"),
    _procedure("gradient clipping", r"(gradient|norm)s?\W+(\w+\W+)?clip|clip\w*\W+(\w+\W+){0,3}(gradient|norm)", r"clip_grad|clip_norm|max_grad|grad_clip|max_norm"),
    _procedure("weight norm constraint", r"project\w*|norm (constraint|ball)|constrain\w*\W+(\w+\W+){0,3}norm", r"max_norm|renorm|/ ?norm\b|\bradius|project"),
    _procedure("decoupled weight decay", r"adamw|decoupled", r"adamw|\*=? ?\(?1(\.0)? ?- ?|-= ?[\w\.\[\]'\"]*(lr|rate)[\w\.\[\]'\"]* ?\* ?[\w\.\[\]'\"]*(decay|wd)"),
    _procedure("weight decay", r"weight decay|l2|ridge|regulari[sz]", r"decay|l2|ridge|penalty|regulari|\bwd\b|\bC ?="),
    _procedure("dropout", r"dropout", r"dropout|drop_?(rate|prob)"),
    _procedure("standardisation", r"standardi[sz]|normali[sz]|z-?scor|zero mean|unit variance|centred|centered", r"standard|normali[sz]|scaler|\.std\(|zscore|whiten"),
    _procedure("augmentation", r"augment", r"augment|flip\(|jitter|random_crop"),
    _procedure("deduplication", r"dedup|duplicate", r"dedup|duplicat|unique|seen"),
    _procedure("outlier removal", r"outlier|winsor|trimm", r"outlier|winsor|trim|quantile|percentile|iqr"),
    _procedure("missing values", r"missing|imput|incomplete", r"dropna|fillna|isnan|impute|nan_to_num"),
    _procedure("class weighting", r"class.?weight|re-?weight|balanced|oversampl|undersampl", r"class_weight|pos_weight|balanced|oversampl|undersampl|resampl"),
    _procedure("learning-rate schedule", r"schedul|warm.?up|anneal|cosine|linearly (decay|decreas|to zero)|decay(s|ed)? (linearly|to)",
               r"sched|warm|anneal|cosine|cos\(|1(\.0)? ?- ?\(?(step|t|epoch|it)"),
    _procedure("label smoothing", r"label smooth", r"smooth"),
    _procedure("ensembling", r"ensembl|members|committee|bagg", r"ensembl|member|committee|bagg"),
    _procedure("bootstrap", r"bootstrap", r"boot|resampl"),
    _procedure("best of several runs", r"best (of|run|seed|checkpoint|restart)|highest over|maximum over", r"max\([^)]*(seed|run|restart|acc|score)|best"),
    _procedure("median", r"median", r"median"),
    _procedure("macro average", r"macro", r"macro"),
    _procedure("temperature scaling", r"temperature", r"temperature|\btemp\b"),
    _procedure("moving average", r"moving average|\bema\b|polyak|averaged? (over|of) the last", r"\bema\b|moving|polyak|swa\b|\[-\w+:\]"),
    _procedure("label noise", r"label noise|noisy label|flip\w* label|mislabel", r"label_?noise|noisy|flip"),
    _procedure("pretraining", r"pre-?train", r"pretrain"),
    _procedure("frozen parameters", r"frozen|freez|fixed features", r"freez|requires_grad|frozen|no_grad|detach"),
)  # fmt: skip
"""Procedures; both patterns run over lower-case text."""
