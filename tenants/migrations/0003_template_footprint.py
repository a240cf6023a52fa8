from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0002_template_goal'),
    ]

    operations = [
        migrations.RenameField('template', 'goal', 'footprint'),
        migrations.AlterField(
            model_name='template',
            name='footprint',
            field=models.TextField(blank=True, default='', help_text='What the rollout that made it noted in it; clones carry it too.'),
        ),
        # What it held before is no footprint, and what it was for has been taken over by the ledger.
        migrations.RunSQL("UPDATE tenants_template SET footprint = ''", migrations.RunSQL.noop),
    ]
