"""What reports cite."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

__all__ = ["REFERENCES", "Citations", "Reference"]


@dataclass(frozen=True)
class Reference:
    """One entry of the list of references.

    Attributes
    ----------
    short : str
        As the text has it.
    authors, title, where : str
        `where`: what follows the title.
    doi : str
        Empty if there is none.
    """

    short: str
    authors: str
    title: str
    where: str
    doi: str = ""


REFERENCES = {
    "agresti1998": Reference(
        "Agresti and Coull 1998",
        "Agresti, A. and Coull, B. A. (1998)",
        "Approximate is better than “exact” for interval estimation of binomial proportions",
        "The American Statistician 52(2), 119–126",
        "10.1080/00031305.1998.10480550",
    ),
    "alexandari2020": Reference(
        "Alexandari et al. 2020",
        "Alexandari, A., Kundaje, A. and Shrikumar, A. (2020)",
        "Maximum likelihood with bias-corrected calibration is hard-to-beat at label shift adaptation",
        "Proceedings of the 37th International Conference on Machine Learning, PMLR 119, 222–232",
    ),
    "austin2009": Reference(
        "Austin 2009",
        "Austin, P. C. (2009)",
        "Balance diagnostics for comparing the distribution of baseline covariates between treatment groups "
        "in propensity-score matched samples",
        "Statistics in Medicine 28(25), 3083–3107",
        "10.1002/sim.3697",
    ),
    "barnard1999": Reference(
        "Barnard and Rubin 1999",
        "Barnard, J. and Rubin, D. B. (1999)",
        "Small-sample degrees of freedom with multiple imputation",
        "Biometrika 86(4), 948–955",
        "10.1093/biomet/86.4.948",
    ),
    "beaumont2012": Reference(
        "Beaumont and Patak 2012",
        "Beaumont, J.-F. and Patak, Z. (2012)",
        "On the generalized bootstrap for sample surveys with special attention to Poisson sampling",
        "International Statistical Review 80(1), 127–148",
        "10.1111/j.1751-5823.2011.00166.x",
    ),
    "breslow1993": Reference(
        "Breslow and Clayton 1993",
        "Breslow, N. E. and Clayton, D. G. (1993)",
        "Approximate inference in generalized linear mixed models",
        "Journal of the American Statistical Association 88(421), 9–25",
        "10.1080/01621459.1993.10594284",
    ),
    "brier1950": Reference(
        "Brier 1950",
        "Brier, G. W. (1950)",
        "Verification of forecasts expressed in terms of probability",
        "Monthly Weather Review 78(1), 1–3",
        "10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    ),
    "dorazio2006": Reference(
        "D’Orazio et al. 2006",
        "D’Orazio, M., Di Zio, M. and Scanu, M. (2006)",
        "Statistical Matching: Theory and Practice",
        "Wiley, Chichester",
        "10.1002/0470023554",
    ),
    "fay1989": Reference(
        "Fay 1989",
        "Fay, R. E. (1989)",
        "Theory and application of replicate weighting for variance calculations",
        "Proceedings of the Section on Survey Research Methods, American Statistical Association, 212–217",
    ),
    "gneiting2007": Reference(
        "Gneiting and Raftery 2007",
        "Gneiting, T. and Raftery, A. E. (2007)",
        "Strictly proper scoring rules, prediction, and estimation",
        "Journal of the American Statistical Association 102(477), 359–378",
        "10.1198/016214506000001437",
    ),
    "harville1977": Reference(
        "Harville 1977",
        "Harville, D. A. (1977)",
        "Maximum likelihood approaches to variance component estimation and to related problems",
        "Journal of the American Statistical Association 72(358), 320–338",
        "10.1080/01621459.1977.10480998",
    ),
    "judkins1990": Reference(
        "Judkins 1990",
        "Judkins, D. R. (1990)",
        "Fay’s method for variance estimation",
        "Journal of Official Statistics 6(3), 223–239",
    ),
    "ke2017": Reference(
        "Ke et al. 2017",
        "Ke, G., Meng, Q., Finley, T., Wang, T., Chen, W., Ma, W., Ye, Q. and Liu, T.-Y. (2017)",
        "LightGBM: a highly efficient gradient boosting decision tree",
        "Advances in Neural Information Processing Systems 30, 3146–3154",
    ),
    "kish1965": Reference(
        "Kish 1965",
        "Kish, L. (1965)",
        "Survey Sampling",
        "Wiley, New York",
    ),
    "machado2005": Reference(
        "Machado and Santos Silva 2005",
        "Machado, J. A. F. and Santos Silva, J. M. C. (2005)",
        "Quantiles for counts",
        "Journal of the American Statistical Association 100(472), 1226–1237",
        "10.1198/016214505000000330",
    ),
    "reiter2008": Reference(
        "Reiter 2008",
        "Reiter, J. P. (2008)",
        "Multiple imputation when records used for imputation are not used or disseminated for analysis",
        "Biometrika 95(4), 933–946",
    ),
    "rubin1981": Reference(
        "Rubin 1981",
        "Rubin, D. B. (1981)",
        "The Bayesian bootstrap",
        "The Annals of Statistics 9(1), 130–134",
        "10.1214/aos/1176345338",
    ),
    "rubin1987": Reference(
        "Rubin 1987",
        "Rubin, D. B. (1987)",
        "Multiple Imputation for Nonresponse in Surveys",
        "Wiley, New York",
        "10.1002/9780470316696",
    ),
    "tukey1977": Reference(
        "Tukey 1977",
        "Tukey, J. W. (1977)",
        "Exploratory Data Analysis",
        "Addison-Wesley",
    ),
    "ummel2024": Reference(
        "Ummel et al. 2024",
        "Ummel, K., Poblete-Cazenave, M., Akkiraju, K., Graetz, N. et al. (2024)",
        "Multidimensional well-being of US households at a fine spatial scale using fused household surveys",
        "Scientific Data 11, 142",
        "10.1038/s41597-023-02788-7",
    ),
}


class Citations:
    """Remembers what a page has cited, so that its list of references has just that.

    Examples
    --------
    >>> citations = Citations()
    >>> str(citations.cite("kish1965"))
    '<a href="#ref-kish1965">Kish 1965</a>'
    >>> [key for key, reference in citations.cited()]
    ['kish1965']
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def cite(self, key: str) -> Markup:
        """Name a work in the text, with a link to its entry."""
        self._keys.add(key)
        return Markup('<a href="#ref-{}">{}</a>').format(key, REFERENCES[key].short)

    def cited(self) -> list[tuple[str, Reference]]:
        """List what was cited, by author."""
        return [(key, reference) for key, reference in REFERENCES.items() if key in self._keys]
