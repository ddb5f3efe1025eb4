"""The API server, or whatever stands before it, answers wrongly."""

from tests.integration.faults.proxy import Fault, status
from tests.integration.faults.trial import Trial

INGRESSES = "/apis/networking.k8s.io/v1/ingresses"


def test_500_for_the_list(trial: Trial) -> None:
    fault = Fault("GET", INGRESSES, 500, status(500, "InternalError", "etcd is away"))
    trial.meets(fault, "500 Internal Server Error: etcd is away")
