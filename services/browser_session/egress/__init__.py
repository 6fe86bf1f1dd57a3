"""What the browsers of this service may reach, and the proxy that none of them gets around."""

from services.browser_session.egress.dialing import Way
from services.browser_session.egress.policy import Egress
from services.browser_session.egress.proxy import EgressProxy
from services.browser_session.egress.upstream import Upstream

__all__ = ["Egress", "EgressProxy", "Upstream", "Way"]
