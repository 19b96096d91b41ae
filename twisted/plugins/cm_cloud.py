"""Makes ``twistd cm-cloud`` known; the parts list is charging_manager.cloud.tap."""

from twisted.application.service import ServiceMaker

cm_cloud = ServiceMaker(
    "Charging Manager cloud",
    "charging_manager.cloud.tap",
    "Relays logged-in browsers to their installations.",
    "cm-cloud",
)
