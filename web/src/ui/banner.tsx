// Says that the server cannot be reached; it disappears when the server has come back.
import { away } from "../lib/server.ts";
import { Icon } from "./icon.tsx";

export function AwayBanner() {
  return (
    <div class="banner-place" role="status" aria-live="polite">
      {away.value && (
        <p class="banner" data-testid="away">
          <Icon name="warning" />
          Server unreachable; retrying. Data may be out of date.
        </p>
      )}
    </div>
  );
}
