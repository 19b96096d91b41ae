"""Makes ``twistd cm-agent`` known; the parts list is charging_manager.agent.tap."""

from twisted.application.service import ServiceMaker

cm_agent = ServiceMaker(
    "Charging Manager agent", "charging_manager.agent.tap", "Shares a site's power among its charge points.", "cm-agent"
)
